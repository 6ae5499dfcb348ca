// RUN: permalloy-opt %s --print-ptx=target=sm_80 -verify-diagnostics -split-input-file -o /dev/null

// expected-error @below {{kernel 'route_0' is unsupported on GPU targets: they have no route kernels}}
kern.kernel @route_0 route attributes {symbols = ["d0"], arg_dims = [[#tfm.dim<d0>, #tfm.dim<64>]]} {
^bb0(%x: tensor<?x64xf32>):
  %0 = tfm.unary relu %x : (tensor<?x64xf32>) -> tensor<?x64xf32>
  kern.yield %0 : tensor<?x64xf32>
}
