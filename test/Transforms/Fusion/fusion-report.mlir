// RUN: permalloy-opt %s --tfm-fusion-report -o /dev/null | FileCheck %s

// CHECK: @left_over: 1 layer_norm, 1 linear, 1 linear with relu
// CHECK-NEXT: softmax without attention at "scores": more than one mask, and one of them hides keys by a finite number
// CHECK-NEXT: erf without gelu at "bent": the argument of erf is not x / sqrt(2)
// CHECK-NEXT: mean of squares without layer_norm or rms_norm at "variance": what is squared is not x - mean(x); no number is added to the mean of squares
// CHECK-NEXT: softmax without attention at "alone": its result is no left operand of a matrix product
// CHECK-NEXT: matmul without linear at "left": the weight is its left operand
func.func @left_over(%q: tensor<1x2x3x4xf32>, %m: tensor<1x1x1x3xf32>, %w: tensor<4x4xf32>, %g: tensor<4xf32>)
    -> (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x1xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) {
  %c = tfm.constant dense<1.0> : tensor<3x3xf32>
  %half = tfm.constant dense<0.5> : tensor<f32>
  %one = tfm.constant dense<1.0> : tensor<f32>
  %n = tfm.layer_norm %q, %g {axis = 3 : i64, epsilon = 1.0e-5 : f32} : (tensor<1x2x3x4xf32>, tensor<4xf32>) -> tensor<1x2x3x4xf32>
  %l = tfm.linear %n, %w activation relu : (tensor<1x2x3x4xf32>, tensor<4x4xf32>) -> tensor<1x2x3x4xf32>
  %x = tfm.matmul %l, %l {transpose_b} : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x3xf32>
  %y = tfm.binary add %x, %m : (tensor<1x2x3x3xf32>, tensor<1x1x1x3xf32>) -> tensor<1x2x3x3xf32>
  %lowest = tfm.constant dense<-3.0e+38> : tensor<f32>
  %hidden = tfm.compare lt %m, %one : (tensor<1x1x1x3xf32>, tensor<f32>) -> tensor<1x1x1x3xi1>
  %z = tfm.select %hidden, %lowest, %y : (tensor<1x1x1x3xi1>, tensor<f32>, tensor<1x2x3x3xf32>) -> tensor<1x2x3x3xf32>
  %p = tfm.softmax %z {axis = 3 : i64} : (tensor<1x2x3x3xf32>) -> tensor<1x2x3x3xf32> loc("scores")
  %o = tfm.matmul %p, %l : (tensor<1x2x3x3xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  %e = tfm.unary erf %q : (tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> loc("bent")
  %f = tfm.binary add %e, %one : (tensor<1x2x3x4xf32>, tensor<f32>) -> tensor<1x2x3x4xf32>
  %h = tfm.binary mul %q, %half : (tensor<1x2x3x4xf32>, tensor<f32>) -> tensor<1x2x3x4xf32>
  %u = tfm.binary mul %h, %f : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  %s = tfm.binary mul %q, %q : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  %v = tfm.reduce mean %s axes [3] {keep_dims} : (tensor<1x2x3x4xf32>) -> tensor<1x2x3x1xf32> loc("variance")
  %a = tfm.softmax %q {axis = 3 : i64} : (tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> loc("alone")
  %t = tfm.matmul %c, %q : (tensor<3x3xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> loc("left")
  return %o, %u, %v, %a, %t : tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x1xf32>, tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>
}

// CHECK: @turned: 1 rms_norm, 1 rotary, 1 silu
// CHECK-NEXT: cosine without rotary at "unused": no head is multiplied with it
// CHECK-NEXT: sigmoid without silu at "gate": raise-silu has not run
func.func @turned(%x: tensor<1x2x3x4xf32>, %c: tensor<1x3x2xf32>, %g: tensor<4xf32>) -> (tensor<1x2x3x4xf32>, tensor<1x3x2xf32>, tensor<1x2x3x4xf32>) {
  %f = tfm.unary cos %c : (tensor<1x3x2xf32>) -> tensor<1x3x2xf32>
  %r = tfm.rotary %x, %f, %c : (tensor<1x2x3x4xf32>, tensor<1x3x2xf32>, tensor<1x3x2xf32>) -> tensor<1x2x3x4xf32>
  %n = tfm.rms_norm %r, %g {axis = 3 : i64, epsilon = 1.0e-6 : f32} : (tensor<1x2x3x4xf32>, tensor<4xf32>) -> tensor<1x2x3x4xf32>
  %s = tfm.unary silu %n : (tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  %d = tfm.binary add %c, %c : (tensor<1x3x2xf32>, tensor<1x3x2xf32>) -> tensor<1x3x2xf32>
  %u = tfm.unary cos %d : (tensor<1x3x2xf32>) -> tensor<1x3x2xf32> loc("unused")
  %p = tfm.unary sigmoid %x : (tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32> loc("gate")
  %q = tfm.binary mul %x, %p : (tensor<1x2x3x4xf32>, tensor<1x2x3x4xf32>) -> tensor<1x2x3x4xf32>
  return %s, %u, %q : tensor<1x2x3x4xf32>, tensor<1x3x2xf32>, tensor<1x2x3x4xf32>
}
