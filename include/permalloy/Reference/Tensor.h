//===- Tensor.h - a concrete tensor of the interpreter -----------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
//
// Numbers are read and written through two wide types only, whatever the element type is:
//
//   float elements     double     f16, bf16, f32, f64 convert exactly; a store rounds once, to
//   nearest even integer elements   Wide       128 bits hold any i8..i64, ui8..ui64; a store wraps
//
// One operation therefore rounds exactly once. For + - * / and sqrt of f32 that is the IEEE result
// (53 >= 2 * 24 + 2 bits).
//
//===----------------------------------------------------------------------===//

#ifndef PERMALLOY_REFERENCE_TENSOR_H
#define PERMALLOY_REFERENCE_TENSOR_H

#include "Tfm/Tfm.h"

#include <memory>

namespace permalloy::reference {

/// Holds the value of any integer element and the product of two.
using Wide = __int128;

/// The element types that `tfm` knows; signless integers are signed.
enum class Element : uint8_t { Bool, I8, I16, I32, I64, U8, U16, U32, U64, F16, BF16, F32, F64 };

/// The element kind of `type`, which must be one that `tfm` accepts. Codes `!tfm.q` take a byte each.
Element elementOf(mlir::Type type);
/// Bytes of one stored element; bool takes one byte, 0 or 1.
int64_t elementBytes(Element element);
inline bool isFloat(Element element) { return element >= Element::F16; }
/// Bytes of a tensor as stored: dense row-major, or panels (Panels.h) when the encoding is
/// `#tfm.panels`.
int64_t storageBytes(mlir::RankedTensorType type);

/// `value` rounded to the nearest number of the format, ties to even; overflow gives infinity.
double roundTo(Element element, double value);
/// The nearest number of a floating-point format to an integer, rounded once.
double roundTo(Element element, Wide value);
/// `value` wrapped into the range of an integer element; bool is `!= 0`.
Wide wrapTo(Element element, Wide value);
/// Element `index` of `#tfm.seeded<seed, scale>` before rounding to the element type.
double seededElement(int64_t seed, int64_t index, double scale);

/// An immutable-by-default tensor: copies share bytes, writing through `mutableBytes` or `set*`
/// unshares them.
class Tensor {
public:
  Tensor() = default;
  /// Zeros; `type` is static.
  explicit Tensor(mlir::RankedTensorType type);
  Tensor(mlir::Type elementType, llvm::ArrayRef<int64_t> shape)
      : Tensor(mlir::RankedTensorType::get(shape, elementType)) {}
  /// The elements of a constant; null bytes (`!tensor`) when the attribute holds none (a resource
  /// that is not loaded).
  static Tensor fromAttribute(mlir::ElementsAttr attribute);
  /// Bytes that `owner` keeps alive, such as a part of a mapped file. They may have any alignment.
  static Tensor view(mlir::RankedTensorType type, llvm::ArrayRef<char> bytes,
                     std::shared_ptr<const void> owner);
  /// A rank 1 tensor of i64.
  static Tensor ofShape(mlir::MLIRContext *context, llvm::ArrayRef<int64_t> values);

  explicit operator bool() const { return bool(tensorType); }
  mlir::RankedTensorType type() const { return tensorType; }
  mlir::Type elementType() const { return tensorType.getElementType(); }
  Element element() const { return kind; }
  llvm::ArrayRef<int64_t> shape() const { return tensorType.getShape(); }
  int64_t rank() const { return tensorType.getRank(); }
  int64_t dim(unsigned i) const { return tensorType.getDimSize(i); }
  /// Number of logical elements.
  int64_t size() const { return count; }
  bool isPacked() const { return bool(tensorType.getEncoding()); }

  llvm::ArrayRef<char> bytes() const { return {data, size_t(length)}; }
  llvm::MutableArrayRef<char> mutableBytes();

  /// Floating-point element `i` in storage order.
  double number(int64_t i) const;
  void setNumber(int64_t i, double value);
  /// Integer or bool element `i` in storage order.
  Wide integer(int64_t i) const;
  void setInteger(int64_t i, Wide value);
  /// Any element as a double, for messages and tolerances.
  double approximate(int64_t i) const { return isFloat(kind) ? number(i) : double(integer(i)); }
  /// All floating-point elements.
  std::vector<double> numbers() const;
  /// All integer elements as i64.
  llvm::SmallVector<int64_t> integers() const;

  /// The same bytes with other dimensions of the same product.
  Tensor reshaped(llvm::ArrayRef<int64_t> shape) const;
  mlir::DenseElementsAttr toAttribute() const;

private:
  mlir::RankedTensorType tensorType;
  Element kind = Element::F32;
  int64_t count = 0, length = 0;
  const char *data = nullptr;
  std::shared_ptr<const void> owner;
  std::shared_ptr<std::vector<char>> own; // when the bytes are this tensor's to write
};

/// How two tensors may differ: `|a - e| <= atol + rtol * |e|`; equal infinities agree, and NaN with
/// NaN.
struct Tolerance {
  double rtol = 0, atol = 0;
};

/// The worst difference of two tensors.
struct Difference {
  std::string
      message;       ///< empty when they agree; otherwise what differs, with index and both values
  double maxAbs = 0; ///< largest |a - e| over finite elements
  explicit operator bool() const { return !message.empty(); }
};

/// Compares type, shape and elements. With zero tolerance -0 and +0 differ for floats; any NaN
/// equals any NaN.
Difference compare(const Tensor &actual, const Tensor &expected, Tolerance tolerance = {});

/// Prints `tensor<2x3xf32> [[1, 2, 3], [4, 5, 6]]`, at most `limit` elements.
std::string str(const Tensor &tensor, int64_t limit = 64);
/// Prints one element.
std::string elementStr(const Tensor &tensor, int64_t i);
/// Row-major index of element `i` as text, `[0, 2]`.
std::string indexStr(llvm::ArrayRef<int64_t> shape, int64_t i);

} // namespace permalloy::reference

#endif
