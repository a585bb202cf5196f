"""The few loops that the cluster kernels spend their time in, written in LLVM for 8 doubles at a time.

Explicit vectors stay in registers, and multiplies fuse with adds where the processor can (``contract``); loops over
small arrays get neither from numba. A tile runs at 38 Gfma/s on one core of an AVX-512 Xeon at 2.3 GHz, the kernels
before it ran at 2.6. Where vectors are narrower, LLVM splits each of 8 doubles in two or four.

All arrays are contiguous and one-dimensional, and are followed by the index at which the part that is meant begins.
Nothing is checked.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

LANES: Final = 8
"""Doubles of a vector; also the pairs of atoms whose orbit maps are applied together."""

TILE: Final = 4
"""Rows of a tile."""

I32, I64 = ir.IntType(32), ir.IntType(64)
VECTOR = ir.VectorType(ir.DoubleType(), LANES)
ANY = ir.Constant(VECTOR, ir.Undefined)
ZERO = ir.Constant(VECTOR, [0.0] * LANES)


class Emitter:
    """Writes vector code; an offset counts array items."""

    def __init__(self, builder: ir.IRBuilder) -> None:
        self.b = builder

    def at(self, pointer: Any, *offsets: Any) -> Any:
        """The pointer so much further on."""
        for offset in offsets:
            pointer = self.b.gep(pointer, [ir.Constant(I64, offset) if isinstance(offset, int) else offset])
        return pointer

    def index(self, pointer: Any, *offsets: Any) -> Any:
        """The integer there, as 64 bits."""
        value = self.b.load(self.at(pointer, *offsets))
        return value if value.type == I64 else self.b.sext(value, I64)

    def load(self, pointer: Any, *offsets: Any) -> Any:
        """The vector there."""
        value = self.b.load(self.b.bitcast(self.at(pointer, *offsets), VECTOR.as_pointer()))
        value.align = 8
        return value

    def store(self, value: Any, pointer: Any, *offsets: Any) -> None:
        """Write a vector there."""
        self.b.store(value, self.b.bitcast(self.at(pointer, *offsets), VECTOR.as_pointer())).align = 8

    def splat(self, pointer: Any, *offsets: Any) -> Any:
        """The number there in every lane."""
        first = self.b.insert_element(ANY, self.b.load(self.at(pointer, *offsets)), ir.Constant(I32, 0))
        return self.shuffle(first, ANY, [0] * LANES)

    def shuffle(self, x: Any, y: Any, lanes: Sequence[int]) -> Any:
        """Some of the lanes of two vectors."""
        return self.b.shuffle_vector(x, y, ir.Constant(ir.VectorType(I32, len(lanes)), list(lanes)))

    def register(self) -> Any:
        """A vector that LLVM keeps in a register; zero."""
        place = cgutils.alloca_once(self.b, VECTOR)
        self.b.store(ZERO, place)
        return place

    def add(self, x: Any, y: Any) -> Any:
        """The sum, which may fuse with a product."""
        return self.b.fadd(x, y, flags=("contract",))

    def add_product(self, place: Any, x: Any, y: Any) -> None:
        """Add the product to a register."""
        self.b.store(self.add(self.b.load(place), self.b.fmul(x, y, flags=("contract",))), place)

    def loop(self, count: Any) -> Any:
        """A loop over so many numbers from 0 on."""
        return cgutils.for_range(self.b, count, intp=I64)


def intrinsic_of(emit: Callable[..., Any], *given: Any, result: Any = types.void) -> Any:
    """Signature and code of an intrinsic; ``emit`` gets an emitter, data pointers and integers, and may give one."""
    arguments = [t if isinstance(t, types.Array) else types.int64 for t in given]

    def generate(context: Any, builder: ir.IRBuilder, _: Any, values: Sequence[Any]) -> Any:
        data = [
            context.make_array(t)(context, builder, v).data if isinstance(t, types.Array) else v
            for t, v in zip(arguments, values, strict=True)
        ]
        value = emit(Emitter(builder), *data)
        return context.get_dummy_value() if result == types.void else value

    return result(*arguments), generate


def _tile(m: Emitter, vectors: int, c: Any, i: Any, ldc: Any, a: Any, ia: Any, lda: Any, ja: Any, la: Any, b: Any,
          ib: Any, ldb: Any, jb: Any, lb: Any, count: Any, add: bool = False) -> None:  # fmt: skip
    sums = [[m.register() for _ in range(vectors)] for _ in range(TILE)]
    with m.loop(count) as loop:
        left = m.at(a, ia, m.b.mul(m.index(ja, la, loop.index), lda))
        right = m.at(b, ib, m.b.mul(m.index(jb, lb, loop.index), ldb))
        across = [m.load(right, LANES * v) for v in range(vectors)]
        for row in range(TILE):
            scalar = m.splat(left, row)
            for v in range(vectors):
                m.add_product(sums[row][v], scalar, across[v])
    for row in range(TILE):
        place = m.at(c, i, m.b.mul(ir.Constant(I64, row), ldc))
        for v in range(vectors):
            value = m.b.load(sums[row][v])
            m.store(m.add(m.load(place, LANES * v), value) if add else value, place, LANES * v)


@intrinsic
def tile16(typing, c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count):
    """C (4, 16) = Σ_t A[ja[la + t]] ⊗ B[jb[lb + t]], t < count.

    ``lda``, ``ldb`` and ``ldc`` are the lengths of the rows of A, of which 4 numbers are used, of B and of C.
    """
    return intrinsic_of(lambda m, *v: _tile(m, 2, *v), c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count)


@intrinsic
def tile8(typing, c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count):
    """As ``tile16``, C (4, 8)."""
    return intrinsic_of(lambda m, *v: _tile(m, 1, *v), c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count)


@intrinsic
def add_tile16(typing, c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count):
    """As ``tile16``, added to C."""
    return intrinsic_of(
        lambda m, *v: _tile(m, 2, *v, add=True), c, i, ldc, a, ia, lda, ja, la, b, ib, ldb, jb, lb, count
    )


def _turned(m: Emitter, rows: list[Any]) -> list[Any]:
    """The columns of an 8 × 8 block as vectors."""
    # three rounds, which swap halves of 4, 2 and 1 between the rows that far apart
    for half in (4, 2, 1):
        low = [s for s in range(LANES) if not s & half]
        for r in low:
            x, y = rows[r], rows[r + half]
            rows[r] = m.shuffle(x, y, [s if not s & half else LANES + s - half for s in range(LANES)])
            rows[r + half] = m.shuffle(x, y, [s + half if not s & half else LANES + s for s in range(LANES)])
    return rows


def _transpose(m: Emitter, target: Any, i: Any, ldt: Any, source: Any, k: Any, lds: Any) -> None:
    rows = _turned(m, [m.load(source, k, m.b.mul(ir.Constant(I64, r), lds)) for r in range(LANES)])
    for r in range(LANES):
        m.store(rows[r], target, i, m.b.mul(ir.Constant(I64, r), ldt))


@intrinsic
def transpose8(typing, target, i, ldt, source, k, lds):
    """An 8 × 8 block of ``source``, rows ``lds`` apart, transposed into ``target``, rows ``ldt`` apart."""
    return intrinsic_of(_transpose, target, i, ldt, source, k, lds)


def _edge_rows(m: Emitter, work: Any, rows: Any, count: Any, n: Any, ld: Any, g: Any, dg: Any) -> None:
    s, ds, f, df, rise, decay = (m.load(work, LANES * part) for part in range(6))
    two_s = m.b.fadd(s, s)
    ones = ir.Constant(VECTOR, [1.0] * LANES)
    # T_k and U_{k−1} with those before them, which for k = 0 are those that the recursion takes to k = 1
    value, before, slope, before_slope = m.register(), m.register(), m.register(), m.register()
    m.b.store(ones, value)
    m.b.store(s, before)
    m.b.store(ir.Constant(VECTOR, [-1.0] * LANES), before_slope)
    order = m.register()
    sharp = m.b.fmul(f, decay)
    # lanes without a pair write where lane 0 does, before it
    places = []
    for lane in range(LANES):
        there = m.b.icmp_signed("<", ir.Constant(I64, lane), count)
        places.append(m.b.mul(m.index(rows, m.b.select(there, ir.Constant(I64, lane), ir.Constant(I64, 0))), ld))
    with m.loop(m.b.sdiv(ld, ir.Constant(I64, LANES))) as block:
        first = m.b.mul(block.index, ir.Constant(I64, LANES))
        values, slopes = [], []
        for step in range(LANES):
            k = m.b.load(order)
            t, u = m.b.load(value), m.b.load(slope)
            by_r = m.b.fmul(m.b.fmul(k, u), ds)
            whole = m.b.fadd(t, m.b.fmul(rise, by_r))
            known = m.b.icmp_signed("<", m.b.add(first, ir.Constant(I64, step)), n)
            values.append(m.b.select(known, m.b.fmul(f, whole), ZERO))
            slopes.append(m.b.select(known, m.b.fadd(m.b.fmul(df, whole), m.b.fmul(sharp, by_r)), ZERO))
            m.b.store(m.b.fsub(m.b.fmul(two_s, t), m.b.load(before)), value)
            m.b.store(m.b.fsub(m.b.fmul(two_s, u), m.b.load(before_slope)), slope)
            m.b.store(t, before)
            m.b.store(u, before_slope)
            m.b.store(m.b.fadd(k, ones), order)
        for array, columns in ((g, values), (dg, slopes)):
            for place, row in zip(places[::-1], _turned(m, columns)[::-1], strict=True):
                m.store(row, array, place, first)


@intrinsic
def edge_rows(typing, work, rows, count, n, ld, g, dg):
    """Rows g_a(r) and g'_a(r), a < n, and zeros up to ``ld``, of up to 8 pairs.

    ``work`` (6, 8): s, s', f_c, f_c' and what continues a function inside, see ``edges.py``; pair p goes into the row
    ``rows``[p] of ``ld`` numbers. T_a and U_{a−1}, of which T'_a is a multiple, are by recursion.
    """
    return intrinsic_of(_edge_rows, work, rows, count, n, ld, g, dg)


def _meet(
    m: Emitter, partner: Any, i: Any, slot: Any, shift: Any, cell: Any, directed: Any, k: Any, count: Any
) -> None:
    with m.loop(count) as loop:
        place = m.index(slot, shift, m.index(cell, k, loop.index))
        m.b.store(m.b.trunc(m.index(directed, k, loop.index), I32), m.at(partner, i, place))


@intrinsic
def meet(typing, partner, i, slot, shift, cell, directed, k, count):
    """partner[i + slot[shift + cell[k + t]]] = directed[k + t], t < ``count``."""
    return intrinsic_of(_meet, partner, i, slot, shift, cell, directed, k, count)


def _copy_lanes(m: Emitter, target: Any, i: Any, source: Any, k: Any, vectors: Any) -> None:
    with m.loop(vectors) as loop:
        offset = m.b.mul(loop.index, ir.Constant(I64, LANES))
        m.store(m.load(source, k, offset), target, i, offset)


@intrinsic
def copy_lanes(typing, target, i, source, k, vectors):
    """target[i + q] = source[k + q], q < 8 × vectors."""
    return intrinsic_of(_copy_lanes, target, i, source, k, vectors)


def _products(m: Emitter, x: Any, i: Any, a: Any, ia: Any, b: Any, ib: Any, n: Any, vectors: Any) -> None:
    with m.loop(n) as row:
        scalar, place = m.splat(a, ia, row.index), m.at(x, i, m.b.mul(row.index, n))
        with m.loop(vectors) as column:
            offset = m.b.mul(column.index, ir.Constant(I64, LANES))
            m.store(m.b.fmul(scalar, m.load(b, ib, offset)), place, offset)


@intrinsic
def products(typing, x, i, a, ia, b, ib, n, vectors):
    """X[n p + q] = a[p] b[q] for p, q < n, and up to 7 useless numbers behind; n ≤ 8 × vectors."""
    return intrinsic_of(_products, x, i, a, ia, b, ib, n, vectors)


def _orbit_sums(m: Emitter, d: Any, i: Any, e: Any, k: Any, terms: Any, it: Any, length: Any, columns: Any,
                lanes: Any, il: Any, g: Any, ig: Any) -> None:  # fmt: skip
    """``e`` may be ``None``: then only d."""
    with m.loop(columns) as column:
        force, power = m.register(), m.register()
        row = m.at(terms, it, m.b.mul(column.index, m.b.shl(length, ir.Constant(I64, 1))))
        with m.loop(length) as term:
            pair = m.b.shl(term.index, ir.Constant(I64, 1))
            moment = m.load(lanes, il, m.index(row, pair))
            function = m.index(row, pair, 1)
            m.add_product(force, m.load(g, ig, function), moment)
            if e is not None:
                m.add_product(power, m.load(g, ig, function, LANES), moment)
        offset = m.b.mul(column.index, ir.Constant(I64, LANES))
        m.store(m.b.load(force), d, i, offset)
        if e is not None:
            m.store(m.add(m.load(e, k, offset), m.b.load(power)), e, k, offset)


@intrinsic
def orbit_sums(typing, d, i, e, k, terms, it, length, columns, lanes, il, g, ig):
    """Per column and lane, d = Σ_t g'[t] moment[t] over its ``length`` terms, and e += Σ_t g[t] moment[t].

    ``terms`` (columns, length, 2): where the 8 lanes of a moment and of a power (g' and, behind it, g) begin.
    """
    return intrinsic_of(_orbit_sums, d, i, e, k, terms, it, length, columns, lanes, il, g, ig)


@intrinsic
def orbit_forces(typing, d, i, terms, it, length, columns, lanes, il, g, ig):
    """As ``orbit_sums``, but only d."""
    return intrinsic_of(
        lambda m, d, i, *v: _orbit_sums(m, d, i, None, None, *v), d, i, terms, it, length, columns, lanes, il, g, ig
    )


def _add_rows(m: Emitter, lanes: Any, i: Any, pairs: Any, ip: Any, count: Any) -> None:
    with m.loop(count) as loop:
        pair = m.at(pairs, ip, m.b.shl(loop.index, ir.Constant(I64, 1)))
        place = m.at(lanes, i, m.index(pair))
        m.store(m.add(m.load(place), m.load(lanes, i, m.index(pair, 1))), place)


@intrinsic
def add_rows(typing, lanes, i, pairs, ip, count):
    """lanes[p] += lanes[q], 8 numbers each, for ``count`` pairs (p, q) of indices."""
    return intrinsic_of(_add_rows, lanes, i, pairs, ip, count)


def _dots(m: Emitter, y: Any, i: Any, a: Any, ia: Any, lda: Any, x: Any, ix: Any, vectors: Any) -> None:
    sums = [m.register() for _ in range(TILE)]
    with m.loop(vectors) as loop:
        offset = m.b.mul(loop.index, ir.Constant(I64, LANES))
        value = m.load(x, ix, offset)
        for row in range(TILE):
            m.add_product(sums[row], m.load(a, ia, m.b.mul(ir.Constant(I64, row), lda), offset), value)
    for row in range(TILE):
        total = m.b.load(sums[row])
        for half in (4, 2, 1):
            total = m.add(total, m.shuffle(total, ANY, [(s + half) % LANES for s in range(LANES)]))
        m.b.store(m.b.extract_element(total, ir.Constant(I32, 0)), m.at(y, i, row))


@intrinsic
def dots(typing, y, i, a, ia, lda, x, ix, vectors):
    """y[r] = Σ_q A[r, q] x[q] for the 4 rows of A, ``lda`` apart; q < 8 × vectors."""
    return intrinsic_of(_dots, y, i, a, ia, lda, x, ix, vectors)
