// RUN: permalloy-opt %s --raise-attention --canonicalize | FileCheck %s
// RUN: permalloy-opt %s --check-equivalent="pipeline=func.func(raise-attention) sizes=b=2,s=2,t=3;b=1,s=1,t=1;b=3,s=5,t=7 rtol=1e-5 atol=1e-5 idempotent" -o /dev/null

// Causality and padding in one mask: what is left has one row for all queries.
// CHECK-LABEL: @causal_and_padding(
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 mask %arg2 empty_rows zero {causal, {{.*}}} : ({{.*}}, tensor<?x1x1x?xi1>)
func.func @causal_and_padding(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %p: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x2x?x4xf32> {
  %qi = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %ki = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %qp = tfm.reshape %qi dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %c = tfm.compare le %kp, %qp : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %m = tfm.binary and %c, %p : (tensor<1x1x?x?xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// With a past of t positions: query i stands at t + i.
// CHECK-LABEL: @past(
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 mask %arg2 empty_rows zero {causal,
func.func @past(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s + t>, #tfm.dim<4>]}, %p: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s + t>]}, %u: tensor<?xf32> {tfm.dims = [#tfm.dim<t>]}) -> tensor<?x2x?x4xf32> {
  %qi = tfm.range from <t> size <s> step 1 : () -> tensor<?xi64>
  %ki = tfm.range from <0> size <s + t> step 1 : () -> tensor<?xi64>
  %qp = tfm.reshape %qi dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s + t>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %c = tfm.compare ge %qp, %kp : (tensor<1x1x?x1xi64>, tensor<1x1x1x?xi64>) -> tensor<1x1x?x?xi1>
  %m = tfm.binary and %c, %p : (tensor<1x1x?x?xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// Hidden where the key is after the query or is padding: not (a or b).
// CHECK-LABEL: @negated(
// CHECK: %[[P:.*]] = tfm.unary not %arg2
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 mask %[[P]] empty_rows zero {causal,
func.func @negated(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %p: tensor<?x1x1x?xi1> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x2x?x4xf32> {
  %qi = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %ki = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %qp = tfm.reshape %qi dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %c = tfm.compare gt %kp, %qp : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %h = tfm.binary or %c, %p : (tensor<1x1x?x?xi1>, tensor<?x1x1x?xi1>) -> tensor<?x1x?x?xi1>
  %m = tfm.unary not %h : (tensor<?x1x?x?xi1>) -> tensor<?x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// A sliding window: two positions back, none ahead.
// CHECK-LABEL: @window(
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 empty_rows zero {causal, num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 5.000000e-01 : f32, window_left = 2 : i64}
func.func @window(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x4xf32> {
  %qi = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %ki = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %qp = tfm.reshape %qi dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %c = tfm.compare le %kp, %qp : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %three = tfm.constant dense<3> : tensor<i64>
  %back = tfm.binary sub %qp, %three : (tensor<1x1x?x1xi64>, tensor<i64>) -> tensor<1x1x?x1xi64>
  %w = tfm.compare gt %kp, %back : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %m = tfm.binary and %c, %w : (tensor<1x1x?x?xi1>, tensor<1x1x?x?xi1>) -> tensor<1x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// A float mask that causality cuts out of: the float mask stays.
// CHECK-LABEL: @float(
// CHECK-NEXT: tfm.attention %arg0, %arg1, %arg1 mask %arg2 empty_rows zero {causal,
func.func @float(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %f: tensor<?x1x1x?xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>]}) -> tensor<?x2x?x4xf32> {
  %qi = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %ki = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %qp = tfm.reshape %qi dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %c = tfm.compare le %kp, %qp : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %inf = tfm.constant dense<0xFF800000> : tensor<f32>
  %m = tfm.select %c, %f, %inf : (tensor<1x1x?x?xi1>, tensor<?x1x1x?xf32>, tensor<f32>) -> tensor<?x1x?x?xf32>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x1x?x?xf32>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// GPT-2's buffer: rows [t, t + s) of a constant triangle.
// CHECK-LABEL: @triangle(
// CHECK: tfm.attention %arg0, %arg1, %arg1 empty_rows zero {causal,
func.func @triangle(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s + t>, #tfm.dim<4>]}, %u: tensor<?xf32> {tfm.dims = [#tfm.dim<t>]}) -> tensor<?x2x?x4xf32> {
  %c = tfm.constant dense<[[[[true, false, false, false, false, false, false, false, false, false, false, false], [true, true, false, false, false, false, false, false, false, false, false, false], [true, true, true, false, false, false, false, false, false, false, false, false], [true, true, true, true, false, false, false, false, false, false, false, false], [true, true, true, true, true, false, false, false, false, false, false, false], [true, true, true, true, true, true, false, false, false, false, false, false], [true, true, true, true, true, true, true, false, false, false, false, false], [true, true, true, true, true, true, true, true, false, false, false, false], [true, true, true, true, true, true, true, true, true, false, false, false], [true, true, true, true, true, true, true, true, true, true, false, false], [true, true, true, true, true, true, true, true, true, true, true, false], [true, true, true, true, true, true, true, true, true, true, true, true]]]]> : tensor<1x1x12x12xi1>
  %m = tfm.slice %c offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<t>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<s + t>] strides [1, 1, 1, 1] : (tensor<1x1x12x12xi1>) -> tensor<1x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// Near miss: one row of the triangle for all queries, so that all see the same keys.
// CHECK-LABEL: @triangle_row(
// CHECK: tfm.attention
// CHECK-SAME: mask
// CHECK-NOT: causal
// CHECK: return
func.func @triangle_row(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s + t>, #tfm.dim<4>]}, %u: tensor<?xf32> {tfm.dims = [#tfm.dim<t>]}) -> tensor<?x2x?x4xf32> {
  %c = tfm.constant dense<[[[[true, false, false, false, false, false, false, false, false, false, false, false], [true, true, false, false, false, false, false, false, false, false, false, false], [true, true, true, false, false, false, false, false, false, false, false, false], [true, true, true, true, false, false, false, false, false, false, false, false], [true, true, true, true, true, false, false, false, false, false, false, false], [true, true, true, true, true, true, false, false, false, false, false, false], [true, true, true, true, true, true, true, false, false, false, false, false], [true, true, true, true, true, true, true, true, false, false, false, false], [true, true, true, true, true, true, true, true, true, false, false, false], [true, true, true, true, true, true, true, true, true, true, false, false], [true, true, true, true, true, true, true, true, true, true, true, false], [true, true, true, true, true, true, true, true, true, true, true, true]]]]> : tensor<1x1x12x12xi1>
  %m = tfm.slice %c offsets [#tfm.dim<0>, #tfm.dim<0>, #tfm.dim<t>, #tfm.dim<0>] sizes [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s + t>] strides [1, 1, 1, 1] : (tensor<1x1x12x12xi1>) -> tensor<1x1x1x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x1x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// Near miss: the diagonal is hidden as well, so that is no causal mask.
// CHECK-LABEL: @strict(
// CHECK: tfm.attention
// CHECK-SAME: mask
// CHECK-NOT: causal
// CHECK: return
func.func @strict(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}) -> tensor<?x2x?x4xf32> {
  %qi = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %ki = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %qp = tfm.reshape %qi dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %m = tfm.compare lt %kp, %qp : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// Near miss: query i stands at i, but causality of unequal lengths counts from the end.
// CHECK-LABEL: @from_the_start(
// CHECK: tfm.attention
// CHECK-SAME: mask
// CHECK-NOT: causal
// CHECK: return
func.func @from_the_start(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<t>, #tfm.dim<4>]}) -> tensor<?x2x?x4xf32> {
  %qi = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %ki = tfm.range from <0> size <t> step 1 : () -> tensor<?xi64>
  %qp = tfm.reshape %qi dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<t>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %m = tfm.compare le %kp, %qp : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// Near miss: a mask that compares values of the input.
// CHECK-LABEL: @data(
// CHECK: tfm.attention
// CHECK-SAME: mask
// CHECK-NOT: causal
// CHECK: return
func.func @data(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %i: tensor<?xi64> {tfm.dims = [#tfm.dim<s>]}) -> tensor<?x2x?x4xf32> {
  %ki = tfm.range from <0> size <s> step 1 : () -> tensor<?xi64>
  %kp = tfm.reshape %ki dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>] : (tensor<?xi64>) -> tensor<1x1x1x?xi64>
  %qp = tfm.reshape %i dims [#tfm.dim<1>, #tfm.dim<1>, #tfm.dim<s>, #tfm.dim<1>] : (tensor<?xi64>) -> tensor<1x1x?x1xi64>
  %m = tfm.compare le %kp, %qp : (tensor<1x1x1x?xi64>, tensor<1x1x?x1xi64>) -> tensor<1x1x?x?xi1>
  %r = tfm.attention %q, %k, %k mask %m empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x?x?xi1>) -> tensor<?x2x?x4xf32>
  return %r : tensor<?x2x?x4xf32>
}

// A mask that adds nothing is none.
// CHECK-LABEL: @neutral(
// CHECK-COUNT-2: tfm.attention %arg0, %arg1, %arg1 empty_rows zero
// CHECK: tfm.attention %arg0, %arg1, %arg1 mask
func.func @neutral(%q: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}, %k: tensor<?x2x?x4xf32> {tfm.dims = [#tfm.dim<b>, #tfm.dim<2>, #tfm.dim<s>, #tfm.dim<4>]}) -> (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>) {
  %zero = tfm.constant dense<0.0> : tensor<1x1x1x1xf32>
  %true = tfm.constant dense<true> : tensor<1x1x1x1xi1>
  %false = tfm.constant dense<false> : tensor<1x1x1x1xi1>
  %0 = tfm.attention %q, %k, %k mask %zero empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x1x1xf32>) -> tensor<?x2x?x4xf32>
  %1 = tfm.attention %q, %k, %k mask %true empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x1x1xi1>) -> tensor<?x2x?x4xf32>
  %2 = tfm.attention %q, %k, %k mask %false empty_rows zero {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 0.5 : f32} : (tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<1x1x1x1xi1>) -> tensor<?x2x?x4xf32>
  return %0, %1, %2 : tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>, tensor<?x2x?x4xf32>
}
