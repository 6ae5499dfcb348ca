//===- FilesTest.cpp - whole files and temporary folders ---------*- C++ -*-===//
// SPDX-License-Identifier: Apache-2.0 WITH LLVM-exception
#include "permalloy/Support/Files.h"
#include "permalloy/Support/ChildProcess.h"

#include <filesystem>
#include <gtest/gtest.h>

using namespace permalloy;

TEST(Files, WriteAndRead) {
  Result<TempFolder> folder = TempFolder::create();
  ASSERT_TRUE(folder.ok()) << folder.status().message();
  std::string path = folder->file("a");
  ASSERT_TRUE(writeFile(path, std::string("first")).ok());
  ASSERT_TRUE(writeFile(path, std::string("second")).ok());
  Result<std::vector<std::byte>> bytes = readFile(path);
  ASSERT_TRUE(bytes.ok());
  EXPECT_EQ(std::string(reinterpret_cast<char *>(bytes->data()), bytes->size()), "second");
  EXPECT_EQ(readFileStart(path, 3)->size(), 3u);
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder->path()), {}), 1);
}

TEST(Files, ErrorsNameTheFile) {
  EXPECT_EQ(readFile("/nowhere/x").status().message(),
            "cannot read '/nowhere/x': No such file or directory");
  EXPECT_EQ(readFile("/tmp").status().message(), "cannot read '/tmp': not a regular file");
  EXPECT_NE(writeFile("/nowhere/x", std::string("a")).message().find("/nowhere/x"),
            std::string::npos);
}

TEST(Files, TempFolderIsRemoved) {
  std::string path;
  {
    Result<TempFolder> folder = TempFolder::create();
    ASSERT_TRUE(folder.ok());
    path = folder->path();
    ASSERT_TRUE(writeFile(folder->file("a"), std::string("x")).ok());
  }
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(ChildProcess, AnswersLines) {
  Result<ChildProcess> child =
      ChildProcess::start({"sh", "-c", "while read x; do echo \"<$x>\"; done"});
  ASSERT_TRUE(child.ok()) << child.status().message();
  EXPECT_EQ(*child->ask("one"), "<one>");
  EXPECT_EQ(*child->ask("two"), "<two>");
}

TEST(ChildProcess, SaysWhenThereIsNone) {
  EXPECT_EQ(ChildProcess::start({"no-such-program-here"}).status().message(),
            "cannot start 'no-such-program-here': No such file or directory");
  Result<ChildProcess> child = ChildProcess::start({"true"});
  ASSERT_TRUE(child.ok());
  EXPECT_EQ(child->ask("hello").status().message(), "'true' ended unexpectedly");
}
