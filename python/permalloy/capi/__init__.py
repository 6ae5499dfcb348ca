# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Modules at the places where onnxruntime has them."""
