"""The types of the 2017 API, which the current one still has in part."""
