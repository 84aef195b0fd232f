"""What happens beside the requests: annotators, attachments, callbacks."""
