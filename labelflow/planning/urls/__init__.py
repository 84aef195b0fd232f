"""The URLs of attachments before they are sent: signatures, and how long they live."""
