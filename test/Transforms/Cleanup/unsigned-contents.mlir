// RUN: permalloy-opt %s --resolve-shapes --fold-constants --canonicalize | FileCheck %s

// A code above 127 is no negative number.
// CHECK-LABEL: func.func @main
// CHECK: tfm.constant dense<128> : tensor<i32>
func.func @main() -> tensor<i32> {
  %z = tfm.constant dense<128> : tensor<ui8>
  %0 = tfm.cast %z : (tensor<ui8>) -> tensor<i32>
  return %0 : tensor<i32>
}
