"""Which classes a generated set shows, in the eyes of a judge that learnt them from real images."""

from safetensors.numpy import load_file

from bench.api import Cell, Context, Kind, Outcome, register
from bench.metrics.classes import variation
from bench.metrics.classifier import probabilities, shown, weights_sha
from bench.tasks.judge import interval, judge_of, training_shares, verdict
from bench.tasks.sample import SAMPLES


@register(Kind.TASK, "judged", source="protocol, Classes; ours")
def judged(cell: Cell, context: Context) -> Outcome:
    """Judge the images of a cell `sample` with the network of a cell `judge`, both used.

    Counts go by the likeliest class, however unlikely. They are held against equal shares, and
    against the shares of the training labels: a perfect generator has those, but for the judge's
    own errors, which no interval here holds.
    """
    teacher, made = cell.uses
    dataset, classes = context.build(Kind.DATASET), teacher.spec["labels"]["classes"]
    network = judge_of(teacher, context, dataset.channels)
    images = load_file(context.file(made, SAMPLES))["images"]
    found = verdict(probabilities(network, shown(images)))
    trained = variation(found["predicted"], training_shares(dataset, classes))
    row = {
        **found,
        **interval("tv_training", trained),
        "n_generated": len(images),
        "classes": classes,
        "judge_sha": weights_sha(network),
    }
    return Outcome([row])
