"""What every registered plug-in must do, or declare that it does not."""

import pytest
import torch

from bench import weight_files
from bench.api import BenchError, Cell, Kind, Level, Missing, Pretrained, Property
from bench.budget import load_budget
from bench.canaries.processes import solver_canaries
from bench.plan import study_for
from bench.registry import build, entries, names
from bench.seeds import ImageNoise, generator

SIZE = 32
SCALE = 0.125
LEVEL = Level(sigma=0.1)


def plugins(kind):
    return [pytest.param(entry, id=entry.name) for entry in entries(kind)]


@pytest.fixture(autouse=True)
def _same_weights():
    torch.manual_seed(0)


def network(entry):
    return build(Kind.BACKBONE, entry.name, channels=1, image_size=SIZE, scale=SCALE).double()


def noised(batch):
    return torch.randn(
        batch, 1, SIZE, SIZE, generator=torch.Generator().manual_seed(1), dtype=torch.float64
    )


@pytest.mark.parametrize("entry", [p for kind in Kind for p in plugins(kind)])
def test_a_plugin_says_where_it_comes_from(entry):
    assert len(entry.source) > 5
    assert entry.name == entry.name.lower() and " " not in entry.name
    assert entry.where.rpartition(":")[2].isdigit()


@pytest.mark.parametrize("entry", plugins(Kind.BACKBONE))
def test_a_backbone_keeps_shape_and_type_and_its_input(entry):
    net, x = network(entry).eval(), noised(2)
    before = x.clone()
    step = torch.tensor([3.0, 700.0], dtype=torch.float64)
    y = net(x, step)
    assert y.shape == x.shape and y.dtype == x.dtype
    assert torch.equal(x, before)
    assert torch.isfinite(y).all()
    assert torch.equal(y, net(x, step)), "evaluation is deterministic"


@pytest.mark.parametrize("entry", plugins(Kind.BACKBONE))
@torch.inference_mode()
def test_a_backbone_hears_the_step_or_declares_that_it_does_not(entry):
    net, x = network(entry).eval(), noised(1)
    early, late = (net(x, torch.full((1,), step, dtype=torch.float64)) for step in (0.0, 999.0))
    assert torch.equal(early, late) == (Property.STEP_DEPENDENCE in entry.lacks)


@pytest.mark.parametrize("entry", plugins(Kind.BACKBONE))
def test_every_parameter_learns_or_the_backbone_declares_that_it_does_not(entry):
    net, x = network(entry).train(), noised(2)
    net(x, torch.tensor([3.0, 700.0], dtype=torch.float64)).square().mean().backward()
    dead = [
        name
        for name, parameter in net.named_parameters()
        if parameter.requires_grad and (parameter.grad is None or not parameter.grad.any())
    ]
    assert bool(dead) == (Property.ALL_GRADIENTS in entry.lacks), dead


@pytest.mark.parametrize("entry", plugins(Kind.BACKBONE))
@torch.inference_mode()
def test_an_images_result_does_not_depend_on_its_batch(entry):
    net, x = network(entry).eval(), noised(3)
    step = torch.tensor([3.0, 400.0, 700.0], dtype=torch.float64)
    whole, alone = net(x, step)[1:2], net(x[1:2], step[1:2])
    close = torch.allclose(whole, alone, rtol=1e-9, atol=1e-9 * float(whole.abs().max()))
    assert close == (Property.BATCH_INDEPENDENCE not in entry.lacks)


@pytest.mark.parametrize("entry", plugins(Kind.BACKBONE))
def test_a_continuous_network_is_second_order_or_declares_that_it_is_not(entry):
    net = network(entry).eval()
    if not hasattr(net, "fields"):
        assert not hasattr(net, "trace")
        return
    embedding = torch.randn(2, 32, dtype=torch.float64)
    second = True
    for field, width in net.fields():
        y = torch.randn(2, width, 4, 4, dtype=torch.float64)
        derivative = field(0.3, y, _embedding_for(field, embedding))
        z, v = derivative[:, : width // 2], y[:, width // 2 :]
        second &= torch.equal(z, v)
    assert second == (Property.SECOND_ORDER not in entry.lacks)


def _embedding_for(field, embedding):
    """Return as many numbers of the embedding as the field's first linear layer takes."""
    for module in getattr(field, "modules", lambda: [])():
        if isinstance(module, torch.nn.Linear):
            return embedding[:, : module.in_features]
    return embedding


@pytest.mark.parametrize("entry", plugins(Kind.BACKBONE))
def test_a_backbone_takes_a_size_or_refuses_it_and_says_so(entry):
    """A network of convolutions takes any size; one that halves it does not take 30."""
    try:
        net = build(Kind.BACKBONE, entry.name, channels=1, image_size=30, scale=SCALE)
        y = net(torch.zeros(1, 1, 30, 30), torch.zeros(1))
    except BenchError as refused:
        assert "30" in str(refused)
    else:
        assert y.shape == (1, 1, 30, 30)


class Steps:
    """A trainer of a few plain steps."""

    def __init__(self, updates):
        self.updates = updates

    def train(self, module, clean, seed):
        optimiser = torch.optim.Adam(module.parameters(), lr=3e-3)
        module.train()
        for update in range(self.updates):
            optimiser.zero_grad()
            start = update * 16 % (len(clean) - 16)
            module.loss(clean[start : start + 16], generator(seed, update)).backward()
            optimiser.step()
        module.eval()


@pytest.fixture(scope="module")
def digits():
    images = build(Kind.DATASET, "digits", image_size=16).images("train")[:256]
    return torch.from_numpy(images.copy()).float() / 255


@pytest.mark.slow
@pytest.mark.parametrize("entry", plugins(Kind.DENOISER))
def test_a_denoiser_gains_or_declares_that_it_does_not(entry, digits):
    if entry.name == "diffusion":
        size = {"channels": 1, "image_size": 16, "scale": SCALE}
        denoiser = build(Kind.DENOISER, "diffusion:cunet", **size, recipe="authors")
    else:
        denoiser = build(Kind.DENOISER, entry.name, channels=1, image_size=16, scale=0.5)
    trained = hasattr(denoiser, "loss")
    level = Level(sigma=0.3) if trained else LEVEL
    if isinstance(denoiser, Pretrained):
        level = denoiser.levels[0]
        try:
            denoiser.take(weight_files.read(denoiser.weights))
        except Missing as fetched_only:
            pytest.skip(str(fetched_only))
    denoiser.fit(digits, [level], Steps(80 if trained else 0), 0)
    clean = digits[:4]
    noisy = clean + level.sigma * torch.randn(clean.shape, generator=generator("test"))
    before = noisy.clone()
    with torch.inference_mode():
        restored = denoiser.denoise(noisy, level, ImageNoise("x", images=range(4)))
        alone = denoiser.denoise(noisy[1:2], level, ImageNoise("x", images=[1]))
    assert torch.equal(noisy, before), "the input is left as it was"
    assert restored.shape == clean.shape
    assert torch.allclose(restored[1:2], alone, atol=1e-4)
    gains = bool((restored - clean).square().mean() < (noisy - clean).square().mean())
    assert gains == (Property.PSNR_GAIN not in entry.lacks)


@pytest.mark.parametrize("entry", plugins(Kind.FEATURES))
@pytest.mark.parametrize("channels", [1, 3])
def test_an_extractor_gives_vectors_that_do_not_depend_on_the_batch(entry, channels):
    try:
        extractor = build(Kind.FEATURES, entry.name)
    except Missing as fetched_only:
        pytest.skip(str(fetched_only))
    images = torch.rand(3, channels, SIZE, SIZE, generator=generator("features"))
    with torch.inference_mode():
        vectors = extractor(images)
        alone = extractor(images[1:2])
    assert vectors.shape == (3, extractor.dimension)
    assert torch.allclose(vectors[1:2], alone, rtol=1e-4, atol=1e-5)
    assert extractor.weights_sha and extractor.resize


@pytest.mark.parametrize("entry", plugins(Kind.SCHEDULE))
def test_a_schedule_maps_levels_to_sigma_and_back(entry):
    schedule = build(Kind.SCHEDULE, entry.name)
    sigmas = [schedule.level(t).sigma for t in (1, 50, 400, 999)]
    assert sigmas == sorted(sigmas) and sigmas[0] > 0
    assert [schedule.step_of_sigma(s) for s in sigmas] == pytest.approx([1, 50, 400, 999])


@pytest.mark.parametrize("entry", plugins(Kind.SOLVER))
def test_a_solver_has_the_order_that_it_names(entry):
    for name in entry.needs:
        pytest.importorskip(name, reason="an optional part")
    scheme = build(Kind.SOLVER, entry.name)
    assert scheme.order >= 1
    if scheme.adaptive:
        return  # chooses its own steps; tests/models compares it with closed forms
    rows = {row["canary"]: row for row in (one.row() for one in solver_canaries("it", scheme))}
    assert rows["it-order"]["passed"], rows


@pytest.fixture(scope="module")
def study():
    return study_for(load_budget("smoke"))


@pytest.mark.parametrize("entry", plugins(Kind.EXPERIMENT))
def test_an_experiment_plans_cells_of_known_tasks_and_begins_with_known_answers(entry, study):
    planned = list(entry.build(study))
    assert planned and all(isinstance(cell, Cell) for cell in planned)
    assert {cell.task for cell in planned} <= set(names(Kind.TASK))
    assert planned[0].task == "canary" and not planned[0].timing
    timed = [cell for cell in planned if cell.timing]
    assert not timed or timed[0].task == "canary", "the stopwatch is tested before it is used"


@pytest.mark.parametrize("entry", plugins(Kind.DATASET))
def test_a_data_set_says_what_it_is_without_reading_images(entry, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    if entry.name == "folder":
        return  # needs a path; tests/data has its own
    data = build(Kind.DATASET, entry.name, image_size=32)
    assert data.channels in (1, 3) and data.image_size == 32
    assert data.licence and isinstance(data.mirrors, bool) and isinstance(data.same_data, bool)
    assert data.paper_name in ("MNIST", "CelebA", "LSUN Church", None)


@pytest.mark.parametrize("entry", plugins(Kind.TESTSET))
def test_a_test_set_says_what_it_is_and_how_to_get_it(entry, tmp_path, monkeypatch):
    monkeypatch.setenv("BENCH_DATA_DIR", str(tmp_path))
    pictures = build(Kind.TESTSET, entry.name)
    assert pictures.name == entry.name and pictures.channels in (1, 3) and pictures.licence
    for read in (pictures.manifest, pictures.pictures, lambda: pictures.same_data):
        with pytest.raises(Missing, match="BENCH_DATA_DIR"):
            read()
