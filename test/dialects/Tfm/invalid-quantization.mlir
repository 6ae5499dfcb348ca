// RUN: permalloy-opt %s -split-input-file -verify-diagnostics

// expected-error@+1 {{a code has 2 to 8 bits, not 9}}
func.func private @f(tensor<4x4x!tfm.q<u9, group 32>>)

// -----

// expected-error@+1 {{a group has at least one step of K, not 0}}
func.func private @f(tensor<4x4x!tfm.q<u4, group 0>>)

// -----

// expected-error@+1 {{expected s or u and a number of bits, such as u4, not 'x4'}}
func.func private @f(tensor<4x4x!tfm.q<x4, group 32>>)

// -----

func.func @f(%c: tensor<64x!tfm.q<s4, group 32>>, %s: tensor<2xf32>) {
  // expected-error@+1 {{codes must be a matrix or a stack of them, not [64] (dequantize_c1)}}
  %0 = tfm.dequantize %c, %s : (tensor<64x!tfm.q<s4, group 32>>, tensor<2xf32>) -> tensor<64xf32>
  return
}

// -----

func.func @f(%c: tensor<65x8x!tfm.q<s4, group 32>>, %s: tensor<2x8xf32>) {
  // expected-error@+1 {{scales and zero points must be [3, 8], not [2, 8] (dequantize_c1)}}
  %0 = tfm.dequantize %c, %s : (tensor<65x8x!tfm.q<s4, group 32>>, tensor<2x8xf32>) -> tensor<65x8xf32>
  return
}

// -----

func.func @f(%c: tensor<64x8x!tfm.q<s4, group 32>>, %s: tensor<2x8xbf16>) {
  // expected-error@+1 {{takes scales of f16 or f32, not 'bf16' (dequantize_c2)}}
  %0 = tfm.dequantize %c, %s : (tensor<64x8x!tfm.q<s4, group 32>>, tensor<2x8xbf16>) -> tensor<64x8xf32>
  return
}

// -----

func.func @f(%c: tensor<64x8x!tfm.q<u4, group 32>>, %s: tensor<2x8xf16>, %z: tensor<2x8xf32>) {
  // expected-error@+1 {{takes zero points of 'f16', i8 or ui8, not 'f32' (dequantize_c2)}}
  %0 = tfm.dequantize %c, %s zero_points %z : (tensor<64x8x!tfm.q<u4, group 32>>, tensor<2x8xf16>, tensor<2x8xf32>) -> tensor<64x8xf32>
  return
}

// -----

func.func @f(%c: tensor<64x8x!tfm.q<s4, group 32>>, %s: tensor<2x8xf16>, %t: tensor<16xf32>) {
  // expected-error@+1 {{takes a codebook for unsigned codes without zero points (dequantize_c3)}}
  %0 = tfm.dequantize %c, %s codebook %t : (tensor<64x8x!tfm.q<s4, group 32>>, tensor<2x8xf16>, tensor<16xf32>) -> tensor<64x8xf32>
  return
}

// -----

func.func @f(%c: tensor<64x8x!tfm.q<u4, group 32>>, %s: tensor<2x8xf16>, %t: tensor<8xf32>) {
  // expected-error@+1 {{the codebook of 4 bits must have 16 elements, not [8] (dequantize_c3)}}
  %0 = tfm.dequantize %c, %s codebook %t : (tensor<64x8x!tfm.q<u4, group 32>>, tensor<2x8xf16>, tensor<8xf32>) -> tensor<64x8xf32>
  return
}

// -----

func.func @f(%b: tensor<4x2xui8>) {
  // expected-error@+1 {{unpacks 1, 2, 4 or 8 bits along the last axis, not 3 of rank 2 (unpack_bits_c1)}}
  %0 = tfm.unpack_bits %b {bits = 3 : i64} : (tensor<4x2xui8>) -> tensor<4x4xui8>
  return
}

// -----

func.func @f(%x: tensor<4x2xf32>) {
  // expected-error@+1 {{codes become integers, and integers codes (cast_c1)}}
  %0 = tfm.cast %x : (tensor<4x2xf32>) -> tensor<4x2x!tfm.q<s4, group 4>>
  return
}

// -----

func.func @f(%w: tensor<64x8xf32>) {
  // expected-error@+1 {{which must be a static matrix of one shape with them (quantize_weight_c1)}}
  %0, %1 = tfm.quantize_weight %w solver "rtn" : (tensor<64x8xf32>) -> (tensor<8x64x!tfm.q<s4, group 32>>, tensor<1x64xf16>)
  return
}

// -----

func.func @f(%w: tensor<64x8xf32>) {
  // expected-error@+1 {{they must be f16 or f32 with 2 groups, and zero points the same (quantize_weight_c2)}}
  %0, %1 = tfm.quantize_weight %w solver "rtn" : (tensor<64x8xf32>) -> (tensor<64x8x!tfm.q<s4, group 32>>, tensor<1x8xf16>)
  return
}

// -----

func.func @f(%w: tensor<64x8xf32>) {
  // expected-error@+1 {{they are signed without zero points and codebook, unsigned with one of them (quantize_weight_c3)}}
  %0, %1 = tfm.quantize_weight %w solver "rtn" : (tensor<64x8xf32>) -> (tensor<64x8x!tfm.q<u4, group 32>>, tensor<2x8xf16>)
  return
}

// -----

func.func @f(%w: tensor<64x8xf32>, %g: tensor<8x8xf32>) {
  // expected-error@+1 {{takes a gram of 64x64, a second moment of 64 and a codebook of 16 elements (quantize_weight_c4)}}
  %0, %1 = tfm.quantize_weight %w gram %g solver "rtn" : (tensor<64x8xf32>, tensor<8x8xf32>) -> (tensor<64x8x!tfm.q<s4, group 32>>, tensor<2x8xf16>)
  return
}
