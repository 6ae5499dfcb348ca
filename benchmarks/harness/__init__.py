# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""Measures Permalloy against its peers; benchmarks/README.md says how and what counts."""
