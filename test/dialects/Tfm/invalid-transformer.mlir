// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

func.func @f(%a: tensor<2x3xf32>, %b: tensor<3x2xf16>) {
  // expected-error@+1 {{multiplies elements 'f32' and 'f16' (matmul_c1)}}
  %0 = tfm.matmul %a, %b : (tensor<2x3xf32>, tensor<3x2xf16>) -> tensor<2x2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x2xi1>) {
  // expected-error@+1 {{multiplies elements 'i1' and 'i1' (matmul_c1)}}
  %0 = tfm.matmul %a, %a : (tensor<2x2xi1>, tensor<2x2xi1>) -> tensor<2x2xi1>
  return
}

// -----

func.func @f(%a: tensor<f32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{ranks 0 and 1 are too low for a matrix product (matmul_c2)}}
  %0 = tfm.matmul %a, %b : (tensor<f32>, tensor<3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%a: tensor<3xf32>, %b: tensor<3x3xf32>) {
  // expected-error@+1 {{ranks 1 and 2 are too low for a matrix product (matmul_c2)}}
  %0 = tfm.matmul %a, %b {transpose_a} : (tensor<3xf32>, tensor<3x3xf32>) -> tensor<3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2x3xf32>) {
  // expected-error@+1 {{inner dimensions 3 and 2 differ (matmul_c3)}}
  %0 = tfm.matmul %a, %b : (tensor<2x3xf32>, tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x1x3xf32>, %b: tensor<3x3x1xf32>) {
  // expected-error@+1 {{batch dimensions of [2, 1, 3] and [3, 3, 1] do not broadcast (matmul_c3)}}
  %0 = tfm.matmul %a, %b : (tensor<2x1x3xf32>, tensor<3x3x1xf32>) -> tensor<2x1x1xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{a linear layer takes an input of rank 1 or more and a weight of rank 2, not [2, 3] and [3] (linear_c1)}}
  %0 = tfm.linear %a, %b : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<4x5xf32>) {
  // expected-error@+1 {{the input has 3 features but the weight takes 4 (linear_c1)}}
  %0 = tfm.linear %a, %b : (tensor<2x3xf32>, tensor<4x5xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<3x5xf32>, %c: tensor<3xf32>) {
  // expected-error@+1 {{the bias must be [5], not [3] (linear_c2)}}
  %0 = tfm.linear %a, %b bias %c : (tensor<2x3xf32>, tensor<3x5xf32>, tensor<3xf32>) -> tensor<2x5xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<3x5xf16>) {
  // expected-error@+1 {{mixes element types 'f32' and 'f16' (linear_c3)}}
  %0 = tfm.linear %a, %b : (tensor<2x3xf32>, tensor<3x5xf16>) -> tensor<2x5xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xbf16>, %b: tensor<3x5xbf16>) {
  // expected-error@+1 {{mixes element types 'bf16' and 'f64' (linear_c3)}}
  %0 = tfm.linear %a, %b : (tensor<2x3xbf16>, tensor<3x5xbf16>) -> tensor<2x5xf64>
  return
}

// -----

func.func @f(%a: tensor<2x3xf64>, %b: tensor<3x5xf64>, %c: tensor<5xf32>) {
  // expected-error@+1 {{mixes element types 'f64' and 'f32' (linear_c3)}}
  %0 = tfm.linear %a, %b bias %c : (tensor<2x3xf64>, tensor<3x5xf64>, tensor<5xf32>) -> tensor<2x5xf64>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{axis 2 is outside of rank 2 (layer_norm_c1)}}
  %0 = tfm.layer_norm %a, %b {axis = 2 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<2xf32>) {
  // expected-error@+1 {{scale or bias [2] does not broadcast to the normalised dimensions [3] (layer_norm_c2)}}
  %0 = tfm.layer_norm %a, %b {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x1xf32>, %b: tensor<3xf32>) {
  // expected-error@+1 {{scale or bias [3] does not broadcast to the normalised dimensions [1] (layer_norm_c2)}}
  %0 = tfm.layer_norm %a, %b {axis = 1 : i64, epsilon = 1.0e-5 : f32} : (tensor<2x1xf32>, tensor<3xf32>) -> tensor<2x1xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{axis -1 is outside of rank 2 (softmax_c1)}}
  %0 = tfm.softmax %a {axis = -1 : i64} : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%a: tensor<2x4xf32>, %b: tensor<2x4xf32>, %c: tensor<2x4xf32>) {
  // expected-error@+1 {{the query must have rank 3 or 4, and key and value both rank 3 or both rank 4, not [2, 4], [2, 4], [2, 4] (attention_c1)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<2x4xf32>, tensor<2x4xf32>, tensor<2x4xf32>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x2x2xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{the query must have rank 3 or 4, and key and value both rank 3 or both rank 4, not [1, 2, 4], [1, 2, 2, 2], [1, 2, 4] (attention_c1)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x2x2xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{num_heads 4 must be a positive multiple of num_kv_heads 3 (attention_c2)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 4 : i64, num_kv_heads = 3 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{num_heads 0 must be a positive multiple of num_kv_heads 0 (attention_c2)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 0 : i64, num_kv_heads = 0 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<2x2x4xf32>, %c: tensor<2x2x4xf32>) {
  // expected-error@+1 {{batch or key counts of [1, 2, 4], [2, 2, 4], [2, 2, 4] differ (attention_c3)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<2x2x4xf32>, tensor<2x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x3x4xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{batch or key counts of [1, 2, 4], [1, 3, 4], [1, 2, 4] differ (attention_c3)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x3x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x5xf32>, %b: tensor<1x2x5xf32>, %c: tensor<1x2x5xf32>) {
  // expected-error@+1 {{head counts or sizes of [1, 2, 5], [1, 2, 5], [1, 2, 5] do not fit 2 heads over 2 (attention_c3)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x5xf32>, tensor<1x2x5xf32>, tensor<1x2x5xf32>) -> tensor<1x2x5xf32>
  return
}

// -----

func.func @f(%a: tensor<1x3x2x4xf32>, %b: tensor<1x3x2x4xf32>, %c: tensor<1x3x2x4xf32>) {
  // expected-error@+1 {{head counts or sizes of [1, 3, 2, 4], [1, 3, 2, 4], [1, 3, 2, 4] do not fit 2 heads over 2 (attention_c3)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>, tensor<1x3x2x4xf32>) -> tensor<1x3x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>, %d: tensor<1x1x2x3xi1>) {
  // expected-error@+1 {{mask [1, 1, 2, 3] does not broadcast to the scores [1, 2, 2, 2] (attention_c4)}}
  %0 = tfm.attention %a, %b, %c mask %d {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x1x2x3xi1>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>, %d: tensor<2x1x1x2xi1>) {
  // expected-error@+1 {{mask [2, 1, 1, 2] does not broadcast to the scores [1, 2, 2, 2] (attention_c4)}}
  %0 = tfm.attention %a, %b, %c mask %d {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<2x1x1x2xi1>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>, %d: tensor<2x2xi1>) {
  // expected-error@+1 {{mask [2, 2] does not broadcast to the scores [1, 2, 2, 2] (attention_c4)}}
  %0 = tfm.attention %a, %b, %c mask %d {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<2x2xi1>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>, %d: tensor<1x1x1x2xi64>) {
  // expected-error@+1 {{takes a mask of bool or 'f32', not 'i64' (attention_c4)}}
  %0 = tfm.attention %a, %b, %c mask %d {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x1x1x2xi64>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{softcap must be positive, not 0.000000e+00 : f32 (attention_c6)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32, softcap = 0.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{a window must not be negative, but is -1 (attention_c6)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32, window_left = -1 : i64} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{a window must not be negative, but is -2 (attention_c6)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32, window_right = -2 : i64} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf32>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{kv_length takes a key and a value of rank 4, not [1, 2, 4] (attention_c7)}}
  %0 = tfm.attention %a, %b, %c kv_length <1> {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf32>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<1x2x4xf32>, %b: tensor<1x2x4xf16>, %c: tensor<1x2x4xf32>) {
  // expected-error@+1 {{mixes element types 'f32' and 'f16' (attention_c5)}}
  %0 = tfm.attention %a, %b, %c {num_heads = 2 : i64, num_kv_heads = 2 : i64, scale = 1.0 : f32} : (tensor<1x2x4xf32>, tensor<1x2x4xf16>, tensor<1x2x4xf32>) -> tensor<1x2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<3xf32>) {
  // expected-error@+1 {{takes a static matrix or stack of them, not 'tensor<3xf32>' (pack_c1)}}
  %0 = tfm.pack %a : (tensor<3xf32>) -> tensor<3xf32, #tfm.panels>
  return
}

// -----

func.func @f(%a: tensor<?x3xf32>) {
  // expected-error@+1 {{takes a static matrix or stack of them, not 'tensor<?x3xf32>' (pack_c1)}}
  %0 = tfm.pack %a : (tensor<?x3xf32>) -> tensor<?x3xf32, #tfm.panels>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{must turn a plain matrix into the same matrix with #tfm.panels, not 'tensor<2x3xf32>' into 'tensor<2x3xf32>' (pack_c2)}}
  %0 = tfm.pack %a : (tensor<2x3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %g: tensor<3xf32>) {
  // expected-error@+1 {{axis 2 is outside of rank 2 (rms_norm_c1)}}
  %0 = tfm.rms_norm %x, %g {axis = 2 : i64, epsilon = 1.0e-6 : f32} : (tensor<2x3xf32>, tensor<3xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %g: tensor<2xf32>) {
  // expected-error@+1 {{scale [2] does not broadcast to the normalised dimensions [3] (rms_norm_c2)}}
  %0 = tfm.rms_norm %x, %g {axis = 1 : i64, epsilon = 1.0e-6 : f32} : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3xf32>, %g: tensor<3xf16>) {
  // expected-error@+1 {{mixes element types 'f32' and 'f16' (rms_norm_c3)}}
  %0 = tfm.rms_norm %x, %g {axis = 1 : i64, epsilon = 1.0e-6 : f32} : (tensor<2x3xf32>, tensor<3xf16>) -> tensor<2x3xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<1x3x2xf32>) {
  // expected-error@+1 {{the input must have rank 4, or rank 3 and num_heads, not [2, 3, 8] (rotary_c1)}}
  %0 = tfm.rotary %x, %c, %c : (tensor<2x3x8xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<1x3x2xf32>) {
  // expected-error@+1 {{num_heads 3 does not divide the width of [2, 3, 8] (rotary_c1)}}
  %0 = tfm.rotary %x, %c, %c {num_heads = 3 : i64} : (tensor<2x3x8xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x3x8xf32>, %c: tensor<1x3x2xf32>, %s: tensor<1x3x1xf32>) {
  // expected-error@+1 {{cos and sin must have rank 3 and one shape, not [1, 3, 2] and [1, 3, 1] (rotary_c2)}}
  %0 = tfm.rotary %x, %c, %s {num_heads = 2 : i64} : (tensor<2x3x8xf32>, tensor<1x3x2xf32>, tensor<1x3x1xf32>) -> tensor<2x3x8xf32>
  return
}

// -----

func.func @f(%x: tensor<2x2x3x4xf32>, %c: tensor<3x3x2xf32>) {
  // expected-error@+1 {{tables [3, 3, 2] do not fit the input [2, 2, 3, 4] (rotary_c3)}}
  %0 = tfm.rotary %x, %c, %c : (tensor<2x2x3x4xf32>, tensor<3x3x2xf32>, tensor<3x3x2xf32>) -> tensor<2x2x3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x2x3x4xf32>, %c: tensor<1x3x3xf32>) {
  // expected-error@+1 {{tables [1, 3, 3] do not fit the input [2, 2, 3, 4] (rotary_c3)}}
  %0 = tfm.rotary %x, %c, %c : (tensor<2x2x3x4xf32>, tensor<1x3x3xf32>, tensor<1x3x3xf32>) -> tensor<2x2x3x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x2x3x4xf32>, %c: tensor<1x3x2xf64>) {
  // expected-error@+1 {{mixes element types 'f32' and 'f64' (rotary_c4)}}
  %0 = tfm.rotary %x, %c, %c : (tensor<2x2x3x4xf32>, tensor<1x3x2xf64>, tensor<1x3x2xf64>) -> tensor<2x2x3x4xf32>
  return
}

// -----

func.func @f(%c: tensor<1x2x9x4xf32>, %r: tensor<1x3x2x4xf32>) {
  // expected-error@+1 {{cache and rows must have rank 4 and agree in all dimensions but the third, not [1, 2, 9, 4] and [1, 3, 2, 4] (kv_append_c1)}}
  %0 = tfm.kv_append %c at #tfm.dim<0>, %r : (tensor<1x2x9x4xf32>, tensor<1x3x2x4xf32>) -> tensor<1x2x9x4xf32>
  return
}

// -----

func.func @f(%c: tensor<1x2x9x4xf32>, %r: tensor<1x2x2x4xf16>) {
  // expected-error@+1 {{puts elements 'f16' into a cache of 'f32' (kv_append_c2)}}
  %0 = tfm.kv_append %c at #tfm.dim<0>, %r : (tensor<1x2x9x4xf32>, tensor<1x2x2x4xf16>) -> tensor<1x2x9x4xf32>
  return
}

// -----

func.func @f(%c: tensor<1x2x9x4xf32>, %r: tensor<1x2x2x4xf32>) {
  // expected-error@+1 {{rows [1, 2, 2, 4] at 8 do not fit the cache [1, 2, 9, 4] (kv_append_c3)}}
  %0 = tfm.kv_append %c at #tfm.dim<8>, %r : (tensor<1x2x9x4xf32>, tensor<1x2x2x4xf32>) -> tensor<1x2x9x4xf32>
  return
}

// -----

func.func @f(%x: tensor<2x4x4xf32>, %o: tensor<3xi64>) {
  // expected-error@+1 {{offsets take a batch of 1 and as many queries as keys, not a batch of [2] with [4] queries and [4] keys (attention_c8)}}
  %0 = tfm.attention %x, %x, %x offsets %o longest #tfm.dim<2> {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<2x4x4xf32>, tensor<2x4x4xf32>, tensor<2x4x4xf32>, tensor<3xi64>) -> tensor<2x4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4x4xf32>, %m: tensor<1x1x1x4xi1>, %o: tensor<3xi64>) {
  // expected-error@+1 {{offsets come with longest, and with neither mask nor kv_length (attention_c8)}}
  %0 = tfm.attention %x, %x, %x mask %m offsets %o longest #tfm.dim<2> {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32} : (tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<1x1x1x4xi1>, tensor<3xi64>) -> tensor<1x4x4xf32>
  return
}

// -----

func.func @f(%x: tensor<1x4x4xf32>) {
  // expected-error@+1 {{longest stands without offsets (attention_c8)}}
  %0 = tfm.attention %x, %x, %x {num_heads = 1 : i64, num_kv_heads = 1 : i64, scale = 0.5 : f32, longest = #tfm.dim<2>} : (tensor<1x4x4xf32>, tensor<1x4x4xf32>, tensor<1x4x4xf32>) -> tensor<1x4x4xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xi8>, %b: tensor<3x4xi8>) {
  // expected-error@+1 {{multiplies elements 'i8' and 'i8' into 'f32'; 8-bit integers give i32 (linear_c4)}}
  %0 = tfm.linear %a, %b : (tensor<2x3xi8>, tensor<3x4xi8>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %b: tensor<3x4xi8>) {
  // expected-error@+1 {{mixes element types 'f32' and 'i8' (linear_c3)}}
  %0 = tfm.linear %a, %b : (tensor<2x3xf32>, tensor<3x4xi8>) -> tensor<2x4xf32>
  return
}

// -----

func.func @f(%a: tensor<2x3xi8>, %b: tensor<3x4xi8>) {
  // expected-error@+1 {{of integers has neither bias nor activation (linear_c4)}}
  %0 = tfm.linear %a, %b activation relu : (tensor<2x3xi8>, tensor<3x4xi8>) -> tensor<2x4xi32>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %s: tensor<2xf32>) {
  // expected-error@+1 {{scale or zero point [2] does not broadcast to the input [2, 3] (quantize_c1)}}
  %0 = tfm.quantize %a scale %s : (tensor<2x3xf32>, tensor<2xf32>) -> tensor<2x3xi8>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>, %z: tensor<ui8>) {
  // expected-error@+1 {{gives 'i8' with a zero point of 'ui8' (quantize_c2)}}
  %0 = tfm.quantize %a zero_point %z : (tensor<2x3xf32>, tensor<ui8>) -> tensor<2x3xi8>
  return
}

// -----

func.func @f(%a: tensor<2x3xf32>) {
  // expected-error@+1 {{symmetric goes with i8 and without a zero point (quantize_c2)}}
  %0 = tfm.quantize %a {symmetric} : (tensor<2x3xf32>) -> tensor<2x3xui8>
  return
}

// -----

func.func @f(%a: tensor<2x3xf64>) {
  // expected-error@+1 {{takes input and scale of f16, bf16 or f32, not 'f64' and 'f64' (quantize_c3)}}
  %0 = tfm.quantize %a : (tensor<2x3xf64>) -> tensor<2x3xi8>
  return
}

// -----

func.func @f(%a: tensor<2x3xi32>) {
  // expected-error@+1 {{absmax does not take elements 'i32' (reduce_c2)}}
  %0 = tfm.reduce absmax %a axes [1] : (tensor<2x3xi32>) -> tensor<2xi32>
  return
}
