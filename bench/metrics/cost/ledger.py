"""The books of a network: what every part computes, holds and moves, entered as operators run."""

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass, fields
from typing import Any

from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import FlopCounterMode, flop_registry

from bench.metrics.cost.authors import authors_macs, counting_layers
from bench.metrics.cost.files import parameters
from bench.metrics.cost.layers import LayerMacs, watching_layers
from bench.metrics.cost.operators import (
    CONVOLUTION,
    LINEAR,
    LOOKUPS,
    PRODUCT,
    UNTOUCHED,
    costs_nothing,
    is_among,
)
from bench.metrics.cost.parts import REST, Part, following, part_of_parameters, parts
from bench.metrics.cost.run import run_once
from bench.metrics.cost.sides import right_hand_sides, watching


@dataclass(slots=True)
class Account:
    """What one part costs in one forward pass, or what all of them cost together."""

    convolution: int = 0
    """Multiply-adds of convolutions."""
    linear: int = 0
    """Multiply-adds of products with a weight."""
    product: int = 0
    """Multiply-adds of products of two activations."""
    authors: int = 0
    """Multiply-adds by the rule of the paper's authors."""
    in_fields: int = 0
    """Multiply-adds inside the right-hand sides of ODEs; part of the three kinds."""
    evaluations: int = 0
    """Evaluations of those right-hand sides."""
    elementwise: int = 0
    """Numbers that all other operators wrote: about one operation each."""
    bytes_moved: int = 0
    """Inputs and outputs of every operator, weights included, views excepted: nothing is cached,
    nothing fused. Of what a look-up reads from, only what it takes."""
    activation_bytes: int = 0
    """Tensors that were made."""
    parameters: int = 0
    trained: int = 0

    @property
    def macs(self) -> int:
        """Multiply-adds of all kinds."""
        return self.convolution + self.linear + self.product

    @property
    def frozen(self) -> int:
        """Parameters that are not trained."""
        return self.parameters - self.trained


@dataclass(frozen=True, slots=True)
class Books:
    """One forward pass, part by part."""

    accounts: dict[Part, Account]
    flops: int
    """What torch's own counter says of the same pass: two per multiply-add."""
    unlisted: tuple[str, ...]
    """Operators that are neither counted nor known to be free."""
    layers: LayerMacs
    """What closed forms of the layers give, and what torch's counter said while they ran."""

    @property
    def total(self) -> Account:
        """The sum of all accounts."""
        rows = [asdict(account) for account in self.accounts.values()]
        return Account(**{f.name: sum(row[f.name] for row in rows) for f in fields(Account)})

    @property
    def nfe(self) -> int:
        """Evaluations of the right-hand sides of all ODEs."""
        return self.total.evaluations


def keep_books(module: nn.Module, *inputs: Tensor) -> Books:
    """Run a network once and return what each of its parts costs.

    Works on the meta device too. What runs outside all parts is entered under `REST`.

    Raises:
        Invalid: If the network fails or changes the shape of its input.
    """
    owners = parts(module)
    ledger = _Ledger(module, owners)
    with (
        counting_layers(module, ledger.enter_authors),  # first: its hooks need the stack full
        watching_layers(module, lambda: ledger.kinds) as layers,
        following(module, ledger.stack),
        watching(right_hand_sides(module), ledger.enter_side, ledger.leave_side),
        FlopCounterMode(display=False) as counter,
        ledger,
    ):
        run_once(module, inputs)
    for part, parameter in part_of_parameters(module, owners):
        account = ledger.accounts[part]
        account.parameters += parameter.numel()
        account.trained += parameter.numel() if parameter.requires_grad else 0
    used = {part: held for part, held in ledger.accounts.items() if held != Account()}
    return Books(used, counter.get_total_flops(), tuple(sorted(ledger.unlisted)), layers)


def whole_account(module: nn.Module, *inputs: Tensor) -> Account:
    """Return what a network costs as one single part: nothing is added up from its parts.

    Operators are seen in a pass of their own; the authors' rule and the parameters are counted by
    those who count nothing else.

    Raises:
        Invalid: If the network fails or changes the shape of its input.
    """
    ledger = _Ledger(module, {})
    with watching(right_hand_sides(module), ledger.enter_side, ledger.leave_side), ledger:
        run_once(module, inputs)
    count = parameters(module)
    whole = ledger.accounts[REST]
    whole.authors = authors_macs(module, *inputs)
    whole.parameters, whole.trained = count.total, count.trained
    return whole


class _Ledger(TorchDispatchMode):
    """Sees every operator that runs and enters it into the account of the part under way."""

    def __init__(self, module: nn.Module, owners: dict[int, Part]) -> None:
        super().__init__()
        self.owners = owners
        self.stack: list[nn.Module] = []
        named = dict.fromkeys(part for part in owners.values() if part is not REST)
        self.accounts = {part: Account() for part in (*named, REST)}
        self.weights = {_storage(parameter) for parameter in module.parameters()}
        self.unlisted: set[str] = set()
        self.kinds: Counter[str] = Counter()
        self.sides_under_way = 0

    def account(self) -> Account:
        """Return the account of the outermost part that is being called."""
        known = (self.owners.get(id(module), REST) for module in self.stack)
        return self.accounts[next((part for part in known if part is not REST), REST)]

    def enter_authors(self, macs: int) -> None:
        """Enter what the authors' rule counts."""
        self.account().authors += macs

    def enter_side(self) -> None:
        """Enter that a right-hand side is evaluated."""
        self.account().evaluations += 1
        self.sides_under_way += 1

    def leave_side(self) -> None:
        """Note that it has been."""
        self.sides_under_way -= 1

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        formula = flop_registry.get(func._overloadpacket)
        if formula is None:
            with self:  # inference mode hands composite operators over whole
                done = func.decompose(*args, **kwargs)
            if done is not NotImplemented:
                return done
        output = func(*args, **kwargs)
        read, written = list(_tensors((args, kwargs))), list(_tensors(output))
        before = {_storage(tensor) for tensor in read}
        made = [tensor for tensor in written if _storage(tensor) not in before]
        if written and not made and not func._schema.is_mutable:
            return output  # a view: nothing is computed, nothing moves
        account, name = self.account(), func._schema.name
        account.activation_bytes += _bytes(made)
        if is_among(name, UNTOUCHED):
            return output
        taken = written if is_among(name, LOOKUPS) else read[:1]
        account.bytes_moved += _bytes(taken) + _bytes(read[1:]) + _bytes(written)
        if formula is None:
            account.elementwise += sum(tensor.numel() for tensor in written)
            if not costs_nothing(name):
                self.unlisted.add(name)
            return output
        macs = formula(*args, **kwargs, out_val=output) // 2
        kind = self._kind(name, read)
        self.kinds[kind] += macs
        setattr(account, kind, getattr(account, kind) + macs)
        account.in_fields += macs if self.sides_under_way else 0
        return output

    def _kind(self, name: str, read: list[Tensor]) -> str:
        if "conv" in name:
            return CONVOLUTION
        return LINEAR if any(_storage(tensor) in self.weights for tensor in read) else PRODUCT


def _storage(tensor: Tensor) -> int:
    """Return what is the same for a tensor and its views, on every device."""
    return tensor.untyped_storage()._cdata


def _tensors(values: Any) -> Iterator[Tensor]:
    """Yield the tensors in arguments or results, however nested."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, dict):
        yield from _tensors(list(values.values()))
    elif isinstance(values, list | tuple):
        for value in values:
            yield from _tensors(value)


def _bytes(tensors: Iterable[Tensor]) -> int:
    return sum(tensor.numel() * tensor.element_size() for tensor in tensors)
