"""Kafka topics into Iceberg tables, each event once.

A batch's rows and the offsets up to which they were read are one commit, which fails if another
process has committed in between. The table itself says where to resume.
"""
