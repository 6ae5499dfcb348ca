# SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
"""SessionOptions and RunOptions with onnxruntime's attribute names."""

from .errors import InvalidArgument

# onnxruntime's attributes that programs set by habit and that have nothing to switch here: the
# compiler always optimises, and memory is planned ahead.
_WITHOUT_EFFECT = {
    "enable_cpu_mem_arena": True,
    "enable_mem_pattern": True,
    "enable_mem_reuse": True,
    "execution_mode": 0,
    "graph_optimization_level": 99,
    "inter_op_num_threads": 0,
    "log_severity_level": 2,
    "log_verbosity_level": 0,
    "logid": "",
}


class SessionOptions:
    """How to open a model.

    intra_op_num_threads  threads of a run, the calling one included; 0: as many as this process
                          may use (cpuset and cgroup quota)
    compile_options       keyword arguments of permalloy.compile, for models that are not compiled

    Some of onnxruntime's other attributes are accepted without effect; any other name raises.
    """

    def __init__(self):
        values = dict(_WITHOUT_EFFECT, intra_op_num_threads=0, compile_options={})
        object.__setattr__(self, "_values", values)

    def __getattr__(self, name):
        values = object.__getattribute__(self, "_values")
        if name in values:
            return values[name]
        raise AttributeError(self._unknown(name))

    def __setattr__(self, name, value):
        if name not in self._values:
            raise AttributeError(self._unknown(name))
        if name == "intra_op_num_threads":
            if isinstance(value, bool) or not hasattr(value, "__index__") or value < 0:
                raise InvalidArgument(
                    f"intra_op_num_threads is {value!r}, accepted are 0 (all CPUs) and up"
                )
            value = value.__index__()
        self._values[name] = value

    def __repr__(self):
        return (
            f"SessionOptions(intra_op_num_threads={self.intra_op_num_threads}, "
            f"compile_options={self.compile_options})"
        )

    @staticmethod
    def _unknown(name):
        return (
            f"SessionOptions.{name} is unsupported; supported are intra_op_num_threads and "
            f"compile_options, and without effect {', '.join(sorted(_WITHOUT_EFFECT))}"
        )


class RunOptions:
    """How to run. onnxruntime's log attributes are accepted without effect."""

    _NAMES = ("log_severity_level", "log_verbosity_level", "logid")

    def __init__(self):
        for name in self._NAMES:
            object.__setattr__(self, name, "" if name == "logid" else 0)

    def __setattr__(self, name, value):
        if name not in self._NAMES:
            raise AttributeError(
                f"RunOptions.{name} is unsupported; without effect are {', '.join(self._NAMES)}"
            )
        object.__setattr__(self, name, value)
