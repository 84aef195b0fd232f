"""Objects, task types and a client of the Scale API. Independent of the other folders of this package.

Docstrings name their source: "2017 API" is the API as published in August 2017, "current API" is what the live
service has added since then and what Scale's own Python client (2.18) sends.
"""
