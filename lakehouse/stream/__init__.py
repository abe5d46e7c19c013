"""Kafka topics into Iceberg tables, each event once.

A batch's rows and the offsets up to which they were read are one commit, which fails if another
process has committed since. So whoever reads the table knows from where to go on, and nobody else.
"""
