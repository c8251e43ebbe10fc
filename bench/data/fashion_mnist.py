"""Fashion-MNIST: the shape of MNIST, other pictures."""

from bench.api import Kind, register
from bench.data._idx import IdxImages


@register(
    Kind.DATASET,
    "fashion-mnist",
    source="Xiao, Rasul, Vollgraf 2017, arXiv:1708.07747; 70,000 garments, 28x28",
)
class FashionMnist(IdxImages):
    """Pictures of clothes."""

    name = "fashion-mnist"
    licence = "MIT (Zalando SE)"
    paper_name = None
