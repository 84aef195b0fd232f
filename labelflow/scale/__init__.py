"""The Scale API and nothing of ours: its objects, its task types, a client.

Where a docstring says "contract A" it means the API as published in August 2017; "contract B" means what
the live service has added since and what Scale's own Python client (2.18) sends.
"""
