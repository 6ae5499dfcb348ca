// RUN: permalloy-opt %s --plan-kernels | FileCheck %s --check-prefix=PLAN
// RUN: permalloy-opt %s --plan-kernels --outline-kernels | FileCheck %s --check-prefix=KERN
// RUN: permalloy-opt %s --plan-kernels --outline-kernels --pack-weights --plan-slots | FileCheck %s --check-prefix=SLOTS

tfm.weight @w1 : tensor<64x64xf32> = #tfm.seeded<1, 0.02>
tfm.weight @w2 : tensor<64x64xf32> = #tfm.seeded<2, 0.02>
tfm.weight @b : tensor<64xf32> = #tfm.seeded<3, 0.02>

// Two equal layers share their kernels; the residual joins the linear layer; the mask is computed once.
// PLAN-LABEL: @layers
// PLAN: tfm.linear {{.*}}kern.group = 0
// PLAN: tfm.binary add {{.*}}kern.group = 0
// PLAN: tfm.layer_norm {{.*}}kern.group = 1
// PLAN: tfm.linear {{.*}}kern.group = 2
// PLAN: tfm.binary add {{.*}}kern.group = 2
// PLAN: tfm.layer_norm {{.*}}kern.group = 3

// KERN-DAG: kern.kernel @layer_norm_1 row attributes {{.*}}symbols = ["d0", "d1"]
// KERN-DAG: kern.kernel @linear_0 contraction
// KERN-NOT: kern.kernel
// KERN-LABEL: @layers
// KERN: %[[A:.*]] = kern.launch @linear_0({{.*}}) scalars [#tfm.dim<batch>, #tfm.dim<seq>]
// KERN: %[[B:.*]] = kern.launch @layer_norm_1(%[[A]]
// KERN: %[[C:.*]] = kern.launch @linear_0(%[[B]]
// KERN: kern.launch @layer_norm_1(%[[C]]

// SLOTS: tensor<64x64xf32, #tfm.panels>
// SLOTS: tfm.weight @w1.panels
// SLOTS-NEXT: tfm.get_weight @w1
// SLOTS-NEXT: tfm.pack
// SLOTS: func.func @layers({{.*}}kern.slots = [#tfm.dim<batch * seq * 256>, #tfm.dim<batch * seq * 256>]
// SLOTS: kern.launch @linear_0({{.*}}slots [0]
// SLOTS: kern.launch @layer_norm_1({{.*}}slots [1]
// SLOTS: kern.launch @linear_0({{.*}}slots [0]
// SLOTS: kern.launch @layer_norm_1({{.*}}slots [-1]
func.func @layers(%x: tensor<?x?x64xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<seq>, #tfm.dim<64>]}) -> tensor<?x?x64xf32> {
  %w1 = tfm.get_weight @w1 : tensor<64x64xf32>
  %w2 = tfm.get_weight @w2 : tensor<64x64xf32>
  %b = tfm.get_weight @b : tensor<64xf32>
  %0 = tfm.linear %x, %w1 bias %b activation gelu_erf : (tensor<?x?x64xf32>, tensor<64x64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32>
  %1 = tfm.binary add %0, %x : (tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %2 = tfm.layer_norm %1, %b, %b {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x64xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32>
  %3 = tfm.linear %2, %w2 bias %b activation gelu_erf : (tensor<?x?x64xf32>, tensor<64x64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32>
  %4 = tfm.binary add %3, %2 : (tensor<?x?x64xf32>, tensor<?x?x64xf32>) -> tensor<?x?x64xf32>
  %5 = tfm.layer_norm %4, %b, %b {axis = 2 : i64, epsilon = 1.0e-12 : f32} : (tensor<?x?x64xf32>, tensor<64xf32>, tensor<64xf32>) -> tensor<?x?x64xf32>
  return %5 : tensor<?x?x64xf32>
}

// A linear layer whose result is the model's: nothing joins it.
// PLAN-LABEL: @last
// PLAN: tfm.linear {{.*}}kern.group = 0
// KERN-LABEL: @last
// SLOTS-LABEL: @last
func.func @last(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<64>]}) -> tensor<?x64xf32> {
  %w1 = tfm.get_weight @w1 : tensor<64x64xf32>
  %0 = tfm.linear %x, %w1 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  return %0 : tensor<?x64xf32>
}

// SwiGLU: the product joins one of its two linear layers.
// PLAN-LABEL: @swiglu
// PLAN: tfm.linear {{.*}}kern.group = 0
// PLAN: tfm.linear {{.*}}kern.group = 1
// PLAN: tfm.binary mul {{.*}}kern.group = 0
// KERN-LABEL: @swiglu
// SLOTS-LABEL: @swiglu
func.func @swiglu(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<64>]}) -> tensor<?x64xf32> {
  %w1 = tfm.get_weight @w1 : tensor<64x64xf32>
  %w2 = tfm.get_weight @w2 : tensor<64x64xf32>
  %0 = tfm.linear %x, %w1 activation silu : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %1 = tfm.linear %x, %w2 : (tensor<?x64xf32>, tensor<64x64xf32>) -> tensor<?x64xf32>
  %2 = tfm.binary mul %0, %1 : (tensor<?x64xf32>, tensor<?x64xf32>) -> tensor<?x64xf32>
  return %2 : tensor<?x64xf32>
}

// Each kernel counts by itself.
// PLAN-LABEL: @ranges
// PLAN-COUNT-3: tfm.range
// KERN-LABEL: @ranges
// SLOTS-LABEL: @ranges
func.func @ranges(%x: tensor<?x64xf32> {tfm.dims = [#tfm.dim<batch>, #tfm.dim<64>]}) -> (tensor<?xi64>, tensor<?x64xf32>) {
  %0 = tfm.range from #tfm.dim<0> size #tfm.dim<batch> step 1 : () -> tensor<?xi64>
  %1 = tfm.binary add %0, %0 : (tensor<?xi64>, tensor<?xi64>) -> tensor<?xi64>
  %2 = tfm.gather %x, %0 {axis = 0 : i64} : (tensor<?x64xf32>, tensor<?xi64>) -> tensor<?x64xf32>
  return %1, %2 : tensor<?xi64>, tensor<?x64xf32>
}
