// RUN: permalloy-opt %s --raise-rotary --canonicalize --cse | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-rotary) rtol=1e-5 atol=1e-6 idempotent" -o /dev/null

// Llama: x * cos + rotate_half(x) * sin, each angle twice in the table.
// CHECK-LABEL: @halves(
// CHECK: %[[C:.*]] = tfm.unary cos %arg1 : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
// CHECK: %[[S:.*]] = tfm.unary sin %arg1
// CHECK-NEXT: %[[R:.*]] = tfm.rotary %arg0, %[[C]], %[[S]] : (tensor<?x2x?x8xf32>, tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<?x2x?x8xf32>
// CHECK-NEXT: return %[[R]]
func.func @halves(%x: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<8>]}, %f: tensor<1x?x4xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x8xf32> {
  %ff = tfm.concat %f, %f {axis = 2 : i64} : (tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<1x?x8xf32>
  %cos = tfm.unary cos %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %cos4 = tfm.reshape %cos dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %sin = tfm.unary sin %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %sin4 = tfm.reshape %sin dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %lo = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %hi = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<4>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %neg = tfm.unary neg %hi : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %rot = tfm.concat %neg, %lo {axis = 3 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x8xf32>
  %a = tfm.binary mul %x, %cos4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %b = tfm.binary mul %rot, %sin4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %y = tfm.binary add %a, %b : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %y : tensor<?x2x?x8xf32>
}

// GPT-J: every other feature, stacked; the table repeats each angle in a row.
// CHECK-LABEL: @interleaved(
// CHECK: %[[C:.*]] = tfm.unary cos %arg1 : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
// CHECK: %[[S:.*]] = tfm.unary sin %arg1
// CHECK-NEXT: tfm.rotary %arg0, %[[C]], %[[S]] {interleaved}
func.func @interleaved(%x: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<8>]}, %f: tensor<1x?x4xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x8xf32> {
  %f1 = tfm.reshape %f dims [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<1x?x4xf32>) -> tensor<1x?x4x1xf32>
  %f2 = tfm.broadcast %f1 dims [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>, #tfm.dim<2>] : (tensor<1x?x4x1xf32>) -> tensor<1x?x4x2xf32>
  %ff = tfm.reshape %f2 dims [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x4x2xf32>) -> tensor<1x?x8xf32>
  %cos = tfm.unary cos %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %cos4 = tfm.reshape %cos dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %sin = tfm.unary sin %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %sin4 = tfm.reshape %sin dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %e = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 2] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %o = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<1>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 2] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %n = tfm.unary neg %o : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %c0 = tfm.reshape %n dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x4x1xf32>
  %c1 = tfm.reshape %e dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>, #tfm.dim<1>] : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x4x1xf32>
  %st = tfm.concat %c0, %c1 {axis = 4 : i64} : (tensor<?x2x?x4x1xf32>, tensor<?x2x?x4x1xf32>) -> tensor<?x2x?x4x2xf32>
  %rot = tfm.reshape %st dims [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<?x2x?x4x2xf32>) -> tensor<?x2x?x8xf32>
  %a = tfm.binary mul %x, %cos4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %b = tfm.binary mul %rot, %sin4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %y = tfm.binary add %a, %b : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %y : tensor<?x2x?x8xf32>
}

// GPT-NeoX: the first features only.
// CHECK-LABEL: @partial(
// CHECK: %[[C:.*]] = tfm.unary cos %arg1 : (tensor<1x?x2xf32>) -> tensor<1x?x2xf32>
// CHECK: %[[S:.*]] = tfm.unary sin %arg1
// CHECK-NEXT: %[[R:.*]] = tfm.rotary %arg0, %[[C]], %[[S]] : (tensor<?x2x?x8xf32>, tensor<1x?x2xf32>, tensor<1x?x2xf32>)
// CHECK-NEXT: return %[[R]]
func.func @partial(%x: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<8>]}, %f: tensor<1x?x2xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<2>]}) -> tensor<?x2x?x8xf32> {
  %ff = tfm.concat %f, %f {axis = 2 : i64} : (tensor<1x?x2xf32>, tensor<1x?x2xf32>) -> tensor<1x?x4xf32>
  %cos = tfm.unary cos %ff : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
  %cos4 = tfm.reshape %cos dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<1x?x4xf32>) -> tensor<1x1x?x4xf32>
  %sin = tfm.unary sin %ff : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
  %sin4 = tfm.reshape %sin dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<1x?x4xf32>) -> tensor<1x1x?x4xf32>
  %head = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %rest = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<4>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %lo = tfm.slice %head offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<2>] strides [1, 1, 1, 1] : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x2xf32>
  %hi = tfm.slice %head offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<2>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<2>] strides [1, 1, 1, 1] : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x2xf32>
  %neg = tfm.unary neg %hi : (tensor<?x2x?x2xf32>) -> tensor<?x2x?x2xf32>
  %rot = tfm.concat %neg, %lo {axis = 3 : i64} : (tensor<?x2x?x2xf32>, tensor<?x2x?x2xf32>) -> tensor<?x2x?x4xf32>
  %a = tfm.binary mul %head, %cos4 : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %b = tfm.binary mul %rot, %sin4 : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %y = tfm.binary add %a, %b : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %z = tfm.concat %y, %rest {axis = 3 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x8xf32>
  return %z : tensor<?x2x?x8xf32>
}

// ONNX: both halves by themselves, tables of half the width.
// CHECK-LABEL: @parts(
// CHECK: %[[C:.*]] = tfm.unary cos %arg1 : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
// CHECK: %[[S:.*]] = tfm.unary sin %arg1
// CHECK-NEXT: tfm.rotary %arg0, %[[C]], %[[S]] :
func.func @parts(%x: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<8>]}, %f: tensor<1x?x4xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x8xf32> {
  %cos = tfm.unary cos %f : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
  %cos4 = tfm.reshape %cos dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<1x?x4xf32>) -> tensor<1x1x?x4xf32>
  %sin = tfm.unary sin %f : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
  %sin4 = tfm.reshape %sin dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>] : (tensor<1x?x4xf32>) -> tensor<1x1x?x4xf32>
  %lo = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %hi = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<4>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %p = tfm.binary mul %lo, %cos4 : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %q = tfm.binary mul %hi, %sin4 : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %r = tfm.binary sub %p, %q : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %t = tfm.binary mul %lo, %sin4 : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %u = tfm.binary mul %hi, %cos4 : (tensor<?x2x?x4xf32>, tensor<1x1x?x4xf32>) -> tensor<?x2x?x4xf32>
  %v = tfm.binary add %t, %u : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %y = tfm.concat %r, %v {axis = 3 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x8xf32>
  return %y : tensor<?x2x?x8xf32>
}

// The other direction of turning is none.
// CHECK-LABEL: @wrong_sign(
// CHECK-NOT: tfm.rotary
// CHECK: return
func.func @wrong_sign(%x: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<8>]}, %f: tensor<1x?x4xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x8xf32> {
  %ff = tfm.concat %f, %f {axis = 2 : i64} : (tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<1x?x8xf32>
  %cos = tfm.unary cos %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %cos4 = tfm.reshape %cos dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %sin = tfm.unary sin %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %sin4 = tfm.reshape %sin dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %lo = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %hi = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<4>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %neg = tfm.unary neg %lo : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %rot = tfm.concat %hi, %neg {axis = 3 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x8xf32>
  %a = tfm.binary mul %x, %cos4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %b = tfm.binary mul %rot, %sin4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %y = tfm.binary add %a, %b : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %y : tensor<?x2x?x8xf32>
}

// Halves turn by angles of their own.
// CHECK-LABEL: @other_angles(
// CHECK-NOT: tfm.rotary
// CHECK: return
func.func @other_angles(%x: tensor<?x2x?x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<8>]}, %f: tensor<1x?x8xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>]}) -> tensor<?x2x?x8xf32> {
  %cos = tfm.unary cos %f : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %cos4 = tfm.reshape %cos dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %sin = tfm.unary sin %f : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %sin4 = tfm.reshape %sin dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x1x?x8xf32>
  %lo = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %hi = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<4>] sizes [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x2x?x8xf32>) -> tensor<?x2x?x4xf32>
  %neg = tfm.unary neg %hi : (tensor<?x2x?x4xf32>) -> tensor<?x2x?x4xf32>
  %rot = tfm.concat %neg, %lo {axis = 3 : i64} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) -> tensor<?x2x?x8xf32>
  %a = tfm.binary mul %x, %cos4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %b = tfm.binary mul %rot, %sin4 : (tensor<?x2x?x8xf32>, tensor<1x1x?x8xf32>) -> tensor<?x2x?x8xf32>
  %y = tfm.binary add %a, %b : (tensor<?x2x?x8xf32>, tensor<?x2x?x8xf32>) -> tensor<?x2x?x8xf32>
  return %y : tensor<?x2x?x8xf32>
}

// Heads behind the sequence: packed.
// CHECK-LABEL: @sequence_first(
// CHECK: %[[C:.*]] = tfm.unary cos %arg1 : (tensor<1x?x4xf32>) -> tensor<1x?x4xf32>
// CHECK: %[[S:.*]] = tfm.unary sin %arg1
// CHECK-NEXT: %[[P:.*]] = tfm.reshape %arg0 dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<16>]
// CHECK-NEXT: tfm.rotary %[[P]], %[[C]], %[[S]] {num_heads = 2 : i64} : (tensor<?x?x16xf32>
func.func @sequence_first(%x: tensor<?x?x2x8xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<8>]}, %f: tensor<1x?x4xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x?x2x8xf32> {
  %ff = tfm.concat %f, %f {axis = 2 : i64} : (tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<1x?x8xf32>
  %cos = tfm.unary cos %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %cos4 = tfm.reshape %cos dims [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x?x1x8xf32>
  %sin = tfm.unary sin %ff : (tensor<1x?x8xf32>) -> tensor<1x?x8xf32>
  %sin4 = tfm.reshape %sin dims [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>, #tfm.dim<8>] : (tensor<1x?x8xf32>) -> tensor<1x?x1x8xf32>
  %lo = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>] sizes [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x?x2x8xf32>) -> tensor<?x?x2x4xf32>
  %hi = tfm.slice %x offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<0>, #tfm.dim<4>] sizes [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<4>] strides [1, 1, 1, 1] : (tensor<?x?x2x8xf32>) -> tensor<?x?x2x4xf32>
  %neg = tfm.unary neg %hi : (tensor<?x?x2x4xf32>) -> tensor<?x?x2x4xf32>
  %rot = tfm.concat %neg, %lo {axis = 3 : i64} : (tensor<?x?x2x4xf32>, tensor<?x?x2x4xf32>) -> tensor<?x?x2x8xf32>
  %a = tfm.binary mul %x, %cos4 : (tensor<?x?x2x8xf32>, tensor<1x?x1x8xf32>) -> tensor<?x?x2x8xf32>
  %b = tfm.binary mul %rot, %sin4 : (tensor<?x?x2x8xf32>, tensor<1x?x1x8xf32>) -> tensor<?x?x2x8xf32>
  %y = tfm.binary add %a, %b : (tensor<?x?x2x8xf32>, tensor<?x?x2x8xf32>) -> tensor<?x?x2x8xf32>
  return %y : tensor<?x?x2x8xf32>
}

// Heads that were split just before are turned where they were.
// CHECK-LABEL: @packed(
// CHECK: tfm.rotary %{{.*}}, %arg1, %arg1 {interleaved, num_heads = 2 : i64} : (tensor<?x?x16xf32>
// CHECK-NEXT: tfm.reshape
// CHECK-NEXT: tfm.transpose
func.func @packed(%x: tensor<?x?x16xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<16>]}, %f: tensor<1x?x4xf32> {tfm.dims = [#tfm.dim<1>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x8xf32> {
  %h = tfm.reshape %x dims [#tfm.dim<b>, #tfm.dim<s>, #tfm.dim<2>, #tfm.dim<8>] : (tensor<?x?x16xf32>) -> tensor<?x?x2x8xf32>
  %t = tfm.transpose %h [0, 2, 1, 3] : (tensor<?x?x2x8xf32>) -> tensor<?x2x?x8xf32>
  %y = tfm.rotary %t, %f, %f {interleaved} : (tensor<?x2x?x8xf32>, tensor<1x?x4xf32>, tensor<1x?x4xf32>) -> tensor<?x2x?x8xf32>
  return %y : tensor<?x2x?x8xf32>
}
