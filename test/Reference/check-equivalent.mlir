// RUN: permalloy-opt %s -split-input-file --check-equivalent="pipeline=canonicalize,cse idempotent" -o /dev/null
// RUN: permalloy-opt %s -split-input-file --check-equivalent="pipeline=canonicalize sizes=batch=3,seq=7;batch=1,seq=2 seed=5 rtol=0 atol=0" -o /dev/null
// RUN: not permalloy-opt %s -split-input-file --check-equivalent="pipeline=canonicalize sizes=batch=3" 2>&1 | FileCheck %s --check-prefix=MISSING
// RUN: not permalloy-opt %s -split-input-file --check-equivalent="pipeline=canonicalize sizes=batch:3" 2>&1 | FileCheck %s --check-prefix=SYNTAX
// RUN: not permalloy-opt %s -split-input-file --check-equivalent="pipeline=nonsense" 2>&1 | FileCheck %s --check-prefix=PIPELINE

// MISSING: error: dimension 1 of input x has no size: dimension 'seq' of seq has no value here
// SYNTAX: error: 'batch:3' is no size; sizes look like batch=2,seq=5
// PIPELINE: error: cannot parse pipeline 'nonsense'
func.func @main(%x: tensor<?x?x6xf32> {tfm.name = "x", tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<6>]},
                %keep: tensor<?x?xi1> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>]},
                %ids: tensor<?xi64> {tfm.dims = [#tfm.dim<seq>], tfm.test_range = [-4, 0]}) -> tensor<?x?x6xf32> {
  %0 = tfm.reshape %x dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<2>, #tfm.dim<3>] : (tensor<?x?x6xf32>) -> tensor<?x?x2x3xf32>
  %1 = tfm.reshape %0 dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<6>] : (tensor<?x?x2x3xf32>) -> tensor<?x?x6xf32>
  %2 = tfm.transpose %1 [1, 0, 2] : (tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
  %3 = tfm.transpose %2 [1, 0, 2] : (tensor<?x?x6xf32>) -> tensor<?x?x6xf32>
  %t = tfm.constant dense<[[1.0, 2.0, 3.0, 4.0, 5.0, 6.0], [0.0, 1.0, 0.0, 1.0, 0.0, 1.0], [2.0, 2.0, 2.0, 2.0, 2.0, 2.0], [1.0, 1.0, 1.0, 1.0, 1.0, 1.0]]> : tensor<4x6xf32>
  %4 = tfm.gather %t, %ids {axis = 0 : i64} : (tensor<4x6xf32>, tensor<?xi64>) -> tensor<?x6xf32>
  %5 = tfm.binary add %3, %4 : (tensor<?x?x6xf32>, tensor<?x6xf32>) -> tensor<?x?x6xf32>
  %k = tfm.reshape %keep dims [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<1>] : (tensor<?x?xi1>) -> tensor<?x?x1xi1>
  %zero = tfm.constant dense<0.0> : tensor<f32>
  %6 = tfm.select %k, %5, %zero : (tensor<?x?x1xi1>, tensor<?x?x6xf32>, tensor<f32>) -> tensor<?x?x6xf32>
  return %6 : tensor<?x?x6xf32>
}
