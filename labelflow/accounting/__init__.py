"""The numbers of a job."""
