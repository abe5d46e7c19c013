"""Training sets: a service's features for every row of a spine, on one of several engines."""

from forebay.training.make_set import SetOptions, make_training_set
from forebay.training.training_set import TrainingSet
from forebay.training.write_set import WrittenSet, export_training_set, write_training_set

__all__ = [
    "SetOptions",
    "TrainingSet",
    "WrittenSet",
    "export_training_set",
    "make_training_set",
    "write_training_set",
]
