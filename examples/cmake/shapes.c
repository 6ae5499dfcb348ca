/*===- shapes.c - prints what a compiled model takes and gives -----------------===*\
|* SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception                          *|
\*===--------------------------------------------------------------------------===*/
#include <permalloy-c/permalloy.h>
#include <stdio.h>

typedef permalloy_status *(*tensor_getter)(const permalloy_session *, size_t,
                                           permalloy_tensor_info *);

static int fail(permalloy_status *status) {
  fprintf(stderr, "shapes: error: %s\n", permalloy_status_message(status));
  permalloy_status_release(status);
  return 1;
}

static int print_all(const permalloy_session *session, const char *role, size_t count,
                     tensor_getter get) {
  for (size_t i = 0; i < count; ++i) {
    permalloy_tensor_info info = {.struct_size = sizeof info};
    permalloy_status *status = get(session, i, &info);
    if (status)
      return fail(status);
    printf("%s %s %s [", role, info.name, permalloy_dtype_name(info.dtype));
    for (int32_t axis = 0; axis < info.rank; ++axis)
      printf("%s%s", axis ? ", " : "", info.dim_texts[axis]);
    printf("]\n");
  }
  return 0;
}

int main(int argc, char **argv) {
  if (argc != 2) {
    fprintf(stderr, "usage: shapes model.alloy\n");
    return 2;
  }
  permalloy_session *session = NULL;
  permalloy_status *status = permalloy_session_open(argv[1], NULL, &session);
  if (status)
    return fail(status);
  int code = print_all(session, "input", permalloy_session_input_count(session),
                       permalloy_session_input);
  if (code == 0)
    code = print_all(session, "output", permalloy_session_output_count(session),
                     permalloy_session_output);
  permalloy_session_close(session);
  return code;
}
