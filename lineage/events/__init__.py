"""OpenLineage events: what each job read and wrote.

`run.py` is what jobs use; `encode_event.py` writes the JSON; `outbox.py` hands it to a receiver on
a thread of its own: the file of `event_file.py`, or what openlineage-python is configured for.
"""
