"""Set12: the twelve grey pictures of the literature on denoising."""

from bench.api import Kind, register
from bench.testsets._folder import FolderSet


@register(
    Kind.TESTSET,
    "set12",
    source="Zhang et al. 2017, Beyond a Gaussian denoiser, arXiv:1608.03981, section IV",
)
class Set12(FolderSet):
    """Seven pictures of 256x256 and five of 512x512, among them Cameraman, House and Barbara.

    Source: the files of the FFDNet authors' repository, which are those of DnCNN's.
    """

    name = "set12"
    folder = "Set12"
    channels = 1
    count = 12
    licence = "research use"
    pixels = "de750e60326f2f201921081988e6d91d7b439a3ac88579c31913fba2688aa0b6"
