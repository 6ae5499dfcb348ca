//===- Tensor.cpp - a concrete tensor of the interpreter ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception

#include "permalloy/Reference/Tensor.h"
#include "Tfm/Panels.h"
#include "mlir/IR/DialectResourceBlobManager.h"

#include <cstring>

using namespace mlir;
using namespace permalloy;
using namespace permalloy::reference;

int64_t reference::storageBytes(RankedTensorType type) {
  if (type.getEncoding()) {
    ArrayRef<int64_t> matrix = type.getShape().take_back(2);
    int64_t count = 1;
    for (int64_t size : type.getShape().drop_back(2))
      count *= size;
    return count * tfm::panelBytes(type.getElementType(), matrix[0], matrix[1]);
  }
  return type.getNumElements() * elementBytes(elementOf(type.getElementType()));
}

Tensor::Tensor(RankedTensorType type)
    : tensorType(type), kind(elementOf(type.getElementType())), count(type.getNumElements()),
      length(storageBytes(type)), own(std::make_shared<std::vector<char>>(length)) {
  data = own->data();
}

Tensor Tensor::view(RankedTensorType type, ArrayRef<char> bytes,
                    std::shared_ptr<const void> owner) {
  Tensor result;
  result.tensorType = type;
  result.kind = elementOf(type.getElementType());
  result.count = type.getNumElements();
  result.length = bytes.size();
  result.data = bytes.data();
  result.owner = std::move(owner);
  return result;
}

Tensor Tensor::fromAttribute(ElementsAttr attribute) {
  auto type = dyn_cast<RankedTensorType>(attribute.getShapedType());
  if (!type)
    return {};
  if (auto resource = dyn_cast<DenseResourceElementsAttr>(attribute)) {
    Tensor result(type);
    AsmResourceBlob *blob = resource.getRawHandle().getBlob();
    if (!blob || int64_t(blob->getData().size()) != result.length)
      return {};
    llvm::copy(blob->getData(), result.mutableBytes().begin());
    return result;
  }
  auto dense = dyn_cast<DenseElementsAttr>(attribute);
  if (!dense)
    return {};
  Tensor result(type);
  if (isFloat(result.kind)) {
    for (auto [i, value] : llvm::enumerate(dense.getValues<APFloat>())) {
      APInt bits = value.bitcastToAPInt(); // keeps NaN payloads and -0
      std::memcpy(result.own->data() + i * elementBytes(result.kind), bits.getRawData(),
                  elementBytes(result.kind));
    }
    return result;
  }
  bool isSigned = result.kind >= Element::I8 && result.kind <= Element::I64;
  for (auto [i, value] : llvm::enumerate(dense.getValues<APInt>()))
    result.setInteger(i, isSigned ? Wide(value.getSExtValue()) : Wide(value.getZExtValue()));
  return result;
}

Tensor Tensor::ofShape(MLIRContext *context, ArrayRef<int64_t> values) {
  Tensor result(IntegerType::get(context, 64), {int64_t(values.size())});
  for (auto [i, value] : llvm::enumerate(values))
    result.setInteger(i, value);
  return result;
}

MutableArrayRef<char> Tensor::mutableBytes() {
  if (!own || own.use_count() > 1) {
    own = std::make_shared<std::vector<char>>(data, data + length);
    owner.reset();
    data = own->data();
  }
  return *own;
}

std::vector<double> Tensor::numbers() const {
  std::vector<double> result(length / elementBytes(kind));
  for (size_t i = 0; i < result.size(); ++i)
    result[i] = number(i);
  return result;
}

SmallVector<int64_t> Tensor::integers() const {
  SmallVector<int64_t> result(count);
  for (int64_t i = 0; i < count; ++i)
    result[i] = integer(i);
  return result;
}

Tensor Tensor::reshaped(ArrayRef<int64_t> shape) const {
  Tensor result = *this;
  result.tensorType = RankedTensorType::get(shape, elementType());
  return result;
}

DenseElementsAttr Tensor::toAttribute() const {
  if (kind == Element::Bool) {
    SmallVector<bool> values(count);
    for (int64_t i = 0; i < count; ++i)
      values[i] = integer(i) != 0;
    return DenseElementsAttr::get(tensorType, values);
  }
  return DenseElementsAttr::getFromRawBuffer(tensorType, bytes());
}

//===----------------------------------------------------------------------===//
// Comparison and text
//===----------------------------------------------------------------------===//

std::string reference::indexStr(ArrayRef<int64_t> shape, int64_t i) {
  SmallVector<int64_t> index(shape.size());
  for (size_t d = shape.size(); d-- > 0; i /= std::max<int64_t>(shape[d], 1))
    index[d] = shape[d] ? i % shape[d] : 0;
  return "[" +
         llvm::join(llvm::map_range(index, [](int64_t x) { return std::to_string(x); }), ", ") +
         "]";
}

std::string reference::elementStr(const Tensor &tensor, int64_t i) {
  if (tensor.element() == Element::Bool)
    return tensor.integer(i) ? "true" : "false";
  if (tensor.element() == Element::U64)
    return std::to_string(uint64_t(tensor.integer(i)));
  if (!isFloat(tensor.element()))
    return std::to_string(int64_t(tensor.integer(i)));
  char text[40];
  snprintf(text, sizeof text, tensor.element() == Element::F64 ? "%.17g" : "%.9g",
           tensor.number(i));
  return text;
}

static void printFrom(std::string &text, const Tensor &tensor, unsigned d, int64_t &i,
                      int64_t &left) {
  if (int64_t(d) == tensor.rank()) {
    text += elementStr(tensor, i++);
    --left;
    return;
  }
  text += '[';
  for (int64_t k = 0; k < tensor.dim(d) && left > 0; ++k) {
    text += k ? ", " : "";
    printFrom(text, tensor, d + 1, i, left);
  }
  text += left > 0 ? "]" : "...]";
}

std::string reference::str(const Tensor &tensor, int64_t limit) {
  std::string text;
  llvm::raw_string_ostream(text) << tensor.type() << ' ';
  int64_t i = 0, left = std::max<int64_t>(limit, 1);
  printFrom(text, tensor, 0, i, left);
  return text;
}

static bool agree(const Tensor &actual, const Tensor &expected, int64_t i, Tolerance tolerance,
                  double &difference) {
  bool exact = tolerance.rtol == 0 && tolerance.atol == 0;
  if (!isFloat(actual.element())) {
    difference = std::abs(actual.approximate(i) - expected.approximate(i));
    return actual.integer(i) == expected.integer(i) ||
           (!exact &&
            difference <= tolerance.atol + tolerance.rtol * std::abs(expected.approximate(i)));
  }
  double a = actual.number(i), e = expected.number(i);
  if (std::isnan(a) || std::isnan(e))
    return std::isnan(a) && std::isnan(e);
  if (a == e)
    return !exact || std::signbit(a) == std::signbit(e);
  if (std::isinf(a) || std::isinf(e))
    return false;
  difference = std::abs(a - e);
  return difference <= tolerance.atol + tolerance.rtol * std::abs(e);
}

Difference reference::compare(const Tensor &actual, const Tensor &expected, Tolerance tolerance) {
  Difference result;
  if (actual.type() != expected.type()) {
    llvm::raw_string_ostream(result.message)
        << "type " << actual.type() << " differs from expected " << expected.type();
    return result;
  }
  int64_t differing = 0, worst = 0, stored = actual.bytes().size() / elementBytes(actual.element());
  double worstDifference = -1;
  for (int64_t i = 0; i < stored; ++i) {
    double difference = 0;
    bool ok = agree(actual, expected, i, tolerance, difference);
    result.maxAbs = std::max(result.maxAbs, difference);
    if (!ok && (differing++ == 0 || difference > worstDifference)) {
      worst = i;
      worstDifference = difference;
    }
  }
  if (!differing)
    return result;
  llvm::raw_string_ostream os(result.message);
  os << "element " << (actual.isPacked() ? std::to_string(worst) : indexStr(actual.shape(), worst))
     << " is " << elementStr(actual, worst) << ", expected " << elementStr(expected, worst) << " ("
     << differing << " of " << stored << " elements differ)";
  return result;
}
