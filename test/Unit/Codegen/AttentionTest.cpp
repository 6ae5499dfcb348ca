//===- AttentionTest.cpp - attention against its three-step definition -*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Codegen/CPU/Attention.h"
#include "KernelRunner.h"
#include "permalloy/Codegen/Common/AssemblyStats.h"

#include <cmath>
#include <random>

using namespace permalloy::codegen;
using namespace permalloy::codegen::test;
using mlir::Value;

namespace {

enum class MaskKind { None, BoolRow, FloatRow, FloatFull, BoolHead };

struct AttentionCase {
  int64_t batch, heads, kvHeads, queries, keys, size;
  MaskKind mask = MaskKind::None;
  bool causal = false;
  bool packedHeads = true; ///< [B, S, H * D]; else [B, H, S, D]
  NoKeys noKeys = NoKeys::NaN;
  float magnitude = 1;
  bool emptyFirstBatch = false; ///< every key of batch 0 masked,
  float emptyValue = -INFINITY; ///< by this where the mask is float
  bool mixedLayouts = false;    ///< keys and values have the other layout than queries
  int64_t spare = 0;            ///< rows of keys and values after the last
  float softcap = 0;
  int64_t left = -1, right = -1; ///< windows; -1: none
  int64_t padLeft = 0, padRight = 0;   ///< keys at the ends of each batch that the mask hides, by
  float padValue = -INFINITY;          ///< this where it is float,
  bool poisoned = false;               ///< whose rows are NaN, so that nobody may read them

  bool kvPacked() const { return packedHeads != mixedLayouts; }
  bool sees(int64_t query, int64_t key) const {
    int64_t position = query + keys - queries;
    return !(causal && key > position) && !(left >= 0 && key < position - left) &&
           !(right >= 0 && key > position + right);
  }
};

/// Element strides of q, k, v or output.
struct Strides {
  Strides(const AttentionCase &c, int64_t heads, int64_t length, bool packed)
      : batch(heads * length * c.size), head(packed ? c.size : length * c.size),
        row(packed ? heads * c.size : c.size) {}
  static Strides ofQueries(const AttentionCase &c) {
    return {c, c.heads, c.queries, c.packedHeads};
  }
  static Strides ofKeys(const AttentionCase &c) {
    return {c, c.kvHeads, c.keys + c.spare, c.kvPacked()};
  }
  int64_t batch, head, row;
};

/// Element strides of the mask [batch, head, query, key]; 0 repeats.
struct MaskStrides {
  MaskStrides(const AttentionCase &c) {
    bool full = c.mask == MaskKind::FloatFull, perHead = c.mask == MaskKind::BoolHead;
    query = full || perHead ? c.keys : 0;
    head = perHead ? c.queries * c.keys : 0;
    batch = full ? c.queries * c.keys : perHead ? 0 : c.keys;
    count = full ? c.batch * batch : perHead ? c.heads * head : c.batch * c.keys;
  }
  int64_t batch, head, query, count;
};

/// What a kernel is compiled for; lengths, batch and mask strides are run-time scalars.
using KernelKey =
    std::tuple<const CpuTarget *, int64_t, int64_t, int64_t, int, bool, bool, bool, int, int64_t,
               float, int64_t, int64_t, int64_t>;
KernelKey keyOf(const CpuTarget &target, const AttentionCase &c, const AttentionSchedule &s) {
  return {&target,  c.heads,       c.kvHeads,     c.size,    int(c.mask),
          c.causal, c.packedHeads, c.mixedLayouts, int(c.noKeys), s.keyBlock,
          c.softcap, c.left,       c.right, s.queryBlocks};
}

/// buffers: q, k, v, output, mask; scalars: batch, queries, keys, the mask's strides in elements,
/// and the rows of k and v.
void buildKernel(KernelModule &module, const CpuTarget &target, const AttentionCase &c,
                 const AttentionSchedule &schedule) {
  KernelBuilder b(*module.module, module.loc(), "kernel", target, 5, 7);
  auto tensor = [&](unsigned buffer, int64_t heads, Value length, bool packed) {
    HeadTensor result;
    result.base = b.buffer(buffer);
    result.rowStride = (packed ? heads : 1) * c.size * 4;
    result.headStride = packed ? b.i64(c.size * 4) : b.mul(length, c.size * 4);
    result.batchStride = b.mul(length, heads * c.size * 4);
    return result;
  };
  Attention a;
  a.batch = b.scalar(0);
  a.queries = b.scalar(1);
  a.keys = b.scalar(2);
  a.query = tensor(0, c.heads, a.queries, c.packedHeads);
  a.key = tensor(1, c.kvHeads, b.scalar(6), c.kvPacked());
  a.value = tensor(2, c.kvHeads, b.scalar(6), c.kvPacked());
  a.output = tensor(3, c.heads, a.queries, c.packedHeads);
  a.heads = c.heads;
  a.kvHeads = c.kvHeads;
  a.headSize = c.size;
  a.scale = 1 / std::sqrt(float(c.size));
  a.causal = c.causal;
  a.noKeys = c.noKeys;
  a.softcap = c.softcap;
  if (c.left >= 0)
    a.windowLeft = c.left;
  if (c.right >= 0)
    a.windowRight = c.right;
  if (c.mask != MaskKind::None) {
    bool isBool = c.mask == MaskKind::BoolRow || c.mask == MaskKind::BoolHead;
    int64_t bytes = isBool ? 1 : 4;
    a.mask = AttentionMask{b.buffer(4),
                           isBool,
                           b.mul(b.scalar(3), bytes),
                           b.mul(b.scalar(4), bytes),
                           b.mul(b.scalar(5), bytes),
                           b.i64(bytes),
                           MaskStrides(c).query == 0,
                           c.mask != MaskKind::BoolHead};
  }
  emitAttention(b, a, schedule);
  b.finish();
}

struct Data {
  Data(const AttentionCase &c)
      : q(c.batch * c.heads * c.queries * c.size), k(c.batch * c.kvHeads * (c.keys + c.spare) * c.size),
        v(k.size()), mask(MaskStrides(c).count), bytes(mask.size()) {
    std::mt19937 engine(7);
    for (auto *list : {&q, &k, &v})
      for (float &x : *list)
        x = c.magnitude * (static_cast<float>(engine() % 2001) / 1000.0f - 1.0f);
    for (size_t i = 0; i < mask.size(); ++i) {
      bool hidden = engine() % 3 == 0 || (c.emptyFirstBatch && i < size_t(c.keys));
      bytes[i] = !hidden;
      float hiding = c.emptyFirstBatch ? c.emptyValue : i % 2 ? -INFINITY : -3.4e38f;
      mask[i] = hidden ? hiding : 0.25f * (engine() % 5);
      int64_t key = i % c.keys;
      if (key < c.padLeft || key >= c.keys - c.padRight) {
        bytes[i] = 0;
        mask[i] = c.padValue;
      } else if (c.padLeft + c.padRight > 0) {
        bytes[i] = 1;
        mask[i] = 0;
      }
    }
    Strides ks = Strides::ofKeys(c);
    for (int64_t n = 0; c.poisoned && n < c.batch; ++n)
      for (int64_t h = 0; h < c.kvHeads; ++h)
        for (int64_t j = 0; j < c.keys; ++j)
          if (j < c.padLeft || j >= c.keys - c.padRight)
            for (auto *list : {&k, &v})
              std::fill_n(list->begin() + n * ks.batch + h * ks.head + j * ks.row, c.size, NAN);
  }
  double maskAt(const AttentionCase &c, int64_t index) const {
    bool isBool = c.mask == MaskKind::BoolRow || c.mask == MaskKind::BoolHead;
    return isBool ? (bytes[index] ? 0 : -INFINITY) : mask[index];
  }
  std::vector<float> q, k, v, mask;
  std::vector<char> bytes;
};

/// One row by definition: scores, softmax, weighted sum, in double.
std::vector<double> referenceRow(const AttentionCase &c, const Data &data, int64_t n, int64_t h,
                                 int64_t i) {
  Strides qs = Strides::ofQueries(c), ks = Strides::ofKeys(c);
  MaskStrides ms(c);
  int64_t kvHead = h / (c.heads / c.kvHeads);
  std::vector<double> weights(c.keys), row(c.size);
  double maximum = -INFINITY, sum = 0;
  for (int64_t j = 0; j < c.keys; ++j) {
    double score = 0;
    for (int64_t d = 0; d < c.size; ++d)
      score += double(data.q[n * qs.batch + h * qs.head + i * qs.row + d]) *
               data.k[n * ks.batch + kvHead * ks.head + j * ks.row + d];
    score *= 1 / std::sqrt(double(c.size));
    if (c.softcap != 0)
      score = c.softcap * std::tanh(score / c.softcap);
    if (c.mask != MaskKind::None)
      // As f32 adds: a large finite mask swallows the score.
      score =
          static_cast<float>(score + data.maskAt(c, n * ms.batch + h * ms.head + i * ms.query + j));
    bool padded = j < c.padLeft || j >= c.keys - c.padRight;
    if (!c.sees(i, j) || (c.poisoned && padded))
      score = -INFINITY;
    weights[j] = score;
    maximum = std::max(maximum, score);
  }
  bool empty = maximum == -INFINITY;
  for (double &w : weights)
    sum += w = empty ? 1 : std::exp(w - maximum);
  for (int64_t d = 0; d < c.size; ++d) {
    for (int64_t j = 0; j < c.keys; ++j)
      row[d] += weights[j] == 0 ? 0 : weights[j] / sum * data.v[n * ks.batch + kvHead * ks.head + j * ks.row + d];
    if (empty && c.noKeys != NoKeys::MeanOfValues)
      row[d] = c.noKeys == NoKeys::Zero ? 0 : NAN;
  }
  return row;
}

class AttentionTest : public CpuTargetTest {
protected:
  std::vector<float> run(const AttentionCase &c, const Data &data,
                         const AttentionSchedule &schedule) {
    static std::map<KernelKey, std::unique_ptr<CompiledKernel>> kernels;
    std::unique_ptr<CompiledKernel> &compiled = kernels[keyOf(target(), c, schedule)];
    if (!compiled) {
      KernelModule module;
      buildKernel(module, target(), c, schedule);
      compiled = std::make_unique<CompiledKernel>(module, target());
    }
    const CompiledKernel &kernel = *compiled;
    std::vector<float> output(data.q.size(), -7.0f);
    int64_t bytes = attentionScratchBytes(target(), schedule, c.heads / c.kvHeads, c.size);
    std::unique_ptr<char, decltype(&free)> scratch(
        static_cast<char *>(aligned_alloc(64, llvm::alignTo(bytes, 64))), &free);
    memset(scratch.get(), 0xff, bytes); // NaN everywhere
    int64_t tiles = c.batch * c.kvHeads * attentionTilesPerHead(target(), schedule, c.heads / c.kvHeads, c.queries);
    MaskStrides strides(c);
    bool isBool = c.mask == MaskKind::BoolRow || c.mask == MaskKind::BoolHead;
    void *mask = isBool ? static_cast<void *>(const_cast<char *>(data.bytes.data()))
                        : const_cast<float *>(data.mask.data());
    if (kernel)
      kernel({const_cast<float *>(data.q.data()), const_cast<float *>(data.k.data()),
              const_cast<float *>(data.v.data()), output.data(), mask},
             {c.batch, c.queries, c.keys, strides.batch, strides.head, strides.query, c.keys + c.spare},
             0, tiles,
             scratch.get());
    return output;
  }

  void check(const AttentionCase &c) { check(c, AttentionSchedule::choose(target())); }
  void check(const AttentionCase &c, const AttentionSchedule &schedule) {
    Data data(c);
    std::vector<float> output = run(c, data, schedule);
    Strides os = Strides::ofQueries(c);
    double worst = 0;
    for (int64_t n = 0; n < c.batch; ++n)
      for (int64_t h = 0; h < c.heads; ++h)
        for (int64_t i = 0; i < c.queries; ++i) {
          std::vector<double> row = referenceRow(c, data, n, h, i);
          for (int64_t d = 0; d < c.size; ++d) {
            float got = output[n * os.batch + h * os.head + i * os.row + d];
            if (std::isnan(row[d]) || std::isnan(got))
              ASSERT_EQ(std::isnan(row[d]), std::isnan(got));
            else
              worst = std::max(worst, std::fabs(row[d] - got));
          }
        }
    EXPECT_LE(worst, 1e-5 * c.magnitude * std::max(1.0f, c.magnitude * c.magnitude * 0.1f))
        << "B " << c.batch << " H " << c.heads << "/" << c.kvHeads << " Sq " << c.queries << " Sk "
        << c.keys << " D " << c.size << " mask " << int(c.mask) << " causal " << c.causal
        << " softcap " << c.softcap << " windows " << c.left << " " << c.right;
  }
};

TEST_P(AttentionTest, SequenceLengthsAndHeadSizes) {
  for (int64_t length : {1, 2, 7, 16, 31, 128, 131, 300})
    check({2, 3, 3, length, length, 32});
  for (int64_t size : {1, 5, 8, 16, 20, 24, 40, 48, 64, 80, 128, 512})
    check({1, 2, 2, 37, 45, size});
}

TEST_P(AttentionTest, Layouts) {
  for (bool packed : {true, false}) {
    AttentionCase c{2, 4, 2, 33, 65, 32};
    c.packedHeads = packed;
    check(c);
  }
}

TEST_P(AttentionTest, MasksAndCausality) {
  for (MaskKind mask : {MaskKind::None, MaskKind::BoolRow, MaskKind::FloatRow, MaskKind::FloatFull,
                        MaskKind::BoolHead})
    for (bool causal : {false, true})
      for (auto [queries, keys] :
           {std::pair<int64_t, int64_t>{40, 40}, {5, 140}, {1, 9}, {70, 70}, {9, 4}}) {
        AttentionCase c{2, 2, 2, queries, keys, 16, mask, causal};
        c.noKeys = NoKeys::MeanOfValues;
        check(c);
      }
}

TEST_P(AttentionTest, RowsWithoutKeys) {
  for (MaskKind mask : {MaskKind::BoolRow, MaskKind::FloatRow})
    for (NoKeys noKeys : {NoKeys::NaN, NoKeys::Zero, NoKeys::MeanOfValues}) {
      AttentionCase c{2, 2, 2, 19, 150, 24, mask};
      c.noKeys = noKeys;
      c.emptyFirstBatch = true;
      check(c);
    }
}

TEST_P(AttentionTest, RowsMaskedByAFiniteValueAreUniform) {
  AttentionCase c{2, 2, 2, 19, 150, 24, MaskKind::FloatRow};
  c.emptyFirstBatch = true;
  c.emptyValue = std::numeric_limits<float>::lowest();
  check(c);
}

TEST_P(AttentionTest, MixedLayouts) {
  for (bool packed : {true, false})
    for (int64_t queries : {1, 33}) {
      AttentionCase c{2, 4, 2, queries, 65, 32};
      c.packedHeads = packed;
      c.mixedLayouts = true;
      check(c);
    }
}

// Few queries: keys in the lanes; heads that share keys are one tile.
TEST_P(AttentionTest, Decoding) {
  for (auto [heads, kvHeads] : {std::pair<int64_t, int64_t>{2, 2}, {6, 2}, {8, 1}})
    for (int64_t queries : {1, 2, 3, 4, 5, 8, 9})
      for (int64_t keys : {9, 16, 131}) {
        AttentionCase c{2, heads, kvHeads, queries, keys, 64, MaskKind::BoolRow, true};
        c.packedHeads = false;
        c.noKeys = NoKeys::Zero;
        check(c);
      }
  for (int64_t size : {1, 5, 8, 16, 20, 24, 40, 80, 128, 512})
    check({1, 4, 2, 2, 45, size});
}

TEST_P(AttentionTest, KeysOfACacheEndBeforeItsRows) {
  for (int64_t queries : {1, 3, 40}) {
    AttentionCase c{2, 4, 2, queries, 77, 32, MaskKind::FloatRow, true};
    c.packedHeads = true;
    c.mixedLayouts = true;
    c.spare = 51;
    check(c);
  }
}

TEST_P(AttentionTest, Windows) {
  for (auto [left, right] : {std::pair<int64_t, int64_t>{3, -1}, {-1, 2}, {5, 1}, {0, 0}, {200, 9}})
    for (bool causal : {false, true})
      for (auto [queries, keys] :
           {std::pair<int64_t, int64_t>{1, 40}, {3, 150}, {40, 40}, {50, 300}, {9, 4}}) {
        AttentionCase c{1, 2, 1, queries, keys, 16, MaskKind::None, causal};
        c.left = left;
        c.right = right;
        c.noKeys = NoKeys::MeanOfValues;
        check(c);
      }
}

TEST_P(AttentionTest, Softcap) {
  for (MaskKind mask : {MaskKind::None, MaskKind::BoolRow, MaskKind::FloatFull})
    for (int64_t queries : {1, 40}) {
      AttentionCase c{1, 2, 2, queries, 70, 32, mask, true};
      c.softcap = 1.5f;
      c.magnitude = 4;
      c.noKeys = NoKeys::Zero;
      check(c);
    }
}

TEST_P(AttentionTest, PaddedKeysAreNotRead) {
  for (MaskKind mask : {MaskKind::BoolRow, MaskKind::FloatRow})
    for (bool causal : {false, true})
      for (auto [queries, keys] : {std::pair<int64_t, int64_t>{1, 150}, {3, 40}, {70, 70}, {40, 300}})
        for (float value : {-INFINITY, std::numeric_limits<float>::lowest()}) {
          AttentionCase c{2, 4, 2, queries, keys, 16, mask, causal};
          c.padRight = 19;
          // A causal query may see nothing but keys that a number hides: those are read.
          c.padLeft = mask == MaskKind::BoolRow || !causal ? 3 : 0;
          c.padValue = value;
          c.poisoned = true;
          c.noKeys = NoKeys::Zero;
          check(c);
        }
}

// A query that sees only keys which a large number hides gives the mean of those.
TEST_P(AttentionTest, KeysHiddenByANumberCountWhereAQuerySeesNoOther) {
  for (auto [queries, keys] : {std::pair<int64_t, int64_t>{3, 40}, {70, 70}, {40, 300}})
    for (int64_t left : {-1, 5}) {
      AttentionCase c{2, 2, 2, queries, keys, 16, MaskKind::FloatRow, true};
      c.padLeft = c.padRight = 9;
      c.left = left;
      c.padValue = std::numeric_limits<float>::lowest();
      check(c);
    }
}

TEST_P(AttentionTest, BlocksOfQueriesShareKeys) {
  for (int64_t blocks : {1, 3, 16}) {
    AttentionSchedule schedule = AttentionSchedule::choose(target());
    schedule.queryBlocks = blocks;
    ASSERT_TRUE(schedule.fits(target()));
    for (bool causal : {false, true})
      for (int64_t queries : {1, 40, 260})
        check({2, 6, 2, queries, 260, 20, MaskKind::BoolHead, causal}, schedule);
  }
}

TEST_P(AttentionTest, LargeScores) {
  AttentionCase c{1, 2, 2, 40, 260, 64};
  c.magnitude = 40; // scores up to 1e4
  check(c);
}

TEST_P(AttentionTest, KeyBlocksOnlyChangeRounding) {
  for (int64_t block : {16, 24, 64, 256}) {
    AttentionSchedule schedule = AttentionSchedule::choose(target());
    schedule.keyBlock = block;
    ASSERT_TRUE(schedule.fits(target()));
    check({1, 2, 2, 50, 200, 32, MaskKind::FloatFull}, schedule);
  }
}

INSTANTIATE_TEST_SUITE_P(Targets, AttentionTest, ::testing::ValuesIn(vectorTargets()), targetTestName);

class AttentionAssemblyTest : public ::testing::TestWithParam<const CpuTarget *> {};

TEST_P(AttentionAssemblyTest, InnerLoopsHaveNoSpills) {
  for (int64_t size : {32, 64, 80})
    for (MaskKind mask : {MaskKind::None, MaskKind::BoolRow}) {
      KernelModule module;
      buildKernel(module, *GetParam(), {1, 12, 12, 1, 1, size, mask},
                  AttentionSchedule::choose(*GetParam()));
      for (const InnerLoop &loop : innermostLoops(module.assembly(*GetParam())))
        if (loop.fmas > 0)
          EXPECT_EQ(0u, loop.spills)
              << "head size " << size << ", loop of " << loop.fmas << " FMAs";
    }
}

INSTANTIATE_TEST_SUITE_P(Targets, AttentionAssemblyTest, ::testing::ValuesIn(vectorTargets()),
                         targetTestName);

} // namespace
