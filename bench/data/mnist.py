"""MNIST, the paper's first data set."""

from bench.api import Kind, register
from bench.data._idx import IdxImages


@register(
    Kind.DATASET,
    "mnist",
    source="LeCun, Bottou, Bengio, Haffner 1998, Gradient-based learning; 70,000 digits, 28x28",
)
class Mnist(IdxImages):
    """Handwritten digits.

    Source: the four official files; the paper's time per step on MNIST implies 64x64.
    """

    name = "mnist"
    licence = "CC BY-SA 3.0 (LeCun, Cortes, Burges)"
    paper_name = "MNIST"
