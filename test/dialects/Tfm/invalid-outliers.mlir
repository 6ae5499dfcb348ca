// RUN: permalloy-opt %s --split-input-file --verify-diagnostics

func.func @outlier_limit_count(%x: tensor<4x8xf32>) -> tensor<4x1xf32> {
  // expected-error@+1 {{count must be 1 to 7, not 8 (outlier_limit_c2)}}
  %0 = tfm.outlier_limit %x {count = 8 : i64} : (tensor<4x8xf32>) -> tensor<4x1xf32>
  return %0 : tensor<4x1xf32>
}

// -----

func.func @outlier_limit_elements(%x: tensor<4x8xf64>) -> tensor<4x1xf64> {
  // expected-error@+1 {{takes elements of f16, bf16 or f32, not 'f64' (outlier_limit_c3)}}
  %0 = tfm.outlier_limit %x {count = 2 : i64} : (tensor<4x8xf64>) -> tensor<4x1xf64>
  return %0 : tensor<4x1xf64>
}

// -----

func.func @outlier_positions_limit(%x: tensor<4x8xf32>, %l: tensor<4x8xf32>) -> tensor<4x2xi32> {
  // expected-error@+1 {{the limit [4, 8] is not one for each row of the input [4, 8] (outlier_positions_c1)}}
  %0 = tfm.outlier_positions %x, %l {count = 2 : i64} : (tensor<4x8xf32>, tensor<4x8xf32>) -> tensor<4x2xi32>
  return %0 : tensor<4x2xi32>
}

// -----

func.func @outlier_positions_count(%x: tensor<4x8xf32>, %l: tensor<4x1xf32>) -> tensor<4x8xi32> {
  // expected-error@+1 {{count must be 1 to 7, not 8 (outlier_positions_c2)}}
  %0 = tfm.outlier_positions %x, %l {count = 8 : i64} : (tensor<4x8xf32>, tensor<4x1xf32>) -> tensor<4x8xi32>
  return %0 : tensor<4x8xi32>
}

// -----

func.func @outlier_positions_elements(%x: tensor<4x8xf32>, %l: tensor<4x1xbf16>) -> tensor<4x2xi32> {
  // expected-error@+1 {{compares elements 'f32' with a limit of 'bf16' (outlier_positions_c3)}}
  %0 = tfm.outlier_positions %x, %l {count = 2 : i64} : (tensor<4x8xf32>, tensor<4x1xbf16>) -> tensor<4x2xi32>
  return %0 : tensor<4x2xi32>
}

// -----

func.func @outlier_values_rows(%x: tensor<4x8xf32>, %p: tensor<3x2xi32>) -> tensor<4x2xf32> {
  // expected-error@+1 {{positions [3, 2] are not of the rows of the input [4, 8] (outlier_values_c1)}}
  %0 = tfm.outlier_values %x, %p : (tensor<4x8xf32>, tensor<3x2xi32>) -> tensor<4x2xf32>
  return %0 : tensor<4x2xf32>
}

// -----

func.func @outlier_values_count(%x: tensor<4x8xf32>, %p: tensor<4x?xi32>) -> tensor<4x?xf32> {
  // expected-error@+1 {{there must be 1 to 7 positions of a row, not [?] (outlier_values_c2)}}
  %0 = tfm.outlier_values %x, %p : (tensor<4x8xf32>, tensor<4x?xi32>) -> tensor<4x?xf32>
  return %0 : tensor<4x?xf32>
}

// -----

func.func @outlier_linear_rows(%v: tensor<4x2xf32>, %p: tensor<4x3xi32>, %w: tensor<8x16xi8>) -> tensor<4x16xf32> {
  // expected-error@+1 {{values [4, 2] and positions [4, 3] differ (outlier_linear_c1)}}
  %0 = tfm.outlier_linear %v, %p, %w : (tensor<4x2xf32>, tensor<4x3xi32>, tensor<8x16xi8>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}

// -----

func.func @outlier_linear_weight(%v: tensor<4x2xf32>, %p: tensor<4x2xi32>, %w: tensor<16xi8>) -> tensor<4x16xf32> {
  // expected-error@+1 {{the weight must be of rank 2, not [16] (outlier_linear_c2)}}
  %0 = tfm.outlier_linear %v, %p, %w : (tensor<4x2xf32>, tensor<4x2xi32>, tensor<16xi8>) -> tensor<4x16xf32>
  return %0 : tensor<4x16xf32>
}
