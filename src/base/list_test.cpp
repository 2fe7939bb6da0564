#include <parkring/detail/list.hpp>

#include <gtest/gtest.h>

#include <vector>

namespace parkring::detail {
namespace {

struct item : list_node {
  explicit item(int v) : value(v) {}
  int value;
};
using items = intrusive_list<item>;

std::vector<int> values(items& l) {
  std::vector<int> out;
  l.for_each([&](item& i) { out.push_back(i.value); });
  return out;
}

TEST(List, pops_in_the_order_of_push_back) {
  item a(1), b(2), c(3);
  items l;
  for (item* i : {&a, &b, &c}) l.push_back(*i);
  EXPECT_EQ(l.front(), &a);
  for (item* i : {&a, &b, &c}) EXPECT_EQ(l.pop_front(), i);
  EXPECT_EQ(l.pop_front(), nullptr);
  EXPECT_EQ(l.front(), nullptr);
  EXPECT_TRUE(l.empty());
}

TEST(List, push_front_goes_before_everything) {
  item a(1), b(2), c(3);
  items l;
  for (item* i : {&a, &b, &c}) l.push_front(*i);
  EXPECT_EQ(values(l), (std::vector{3, 2, 1}));
}

TEST(List, a_node_leaves_from_any_place_and_twice_is_harmless) {
  item a(1), b(2), c(3);
  items l;
  for (item* i : {&a, &b, &c}) l.push_back(*i);
  b.unlink();
  b.unlink();
  EXPECT_FALSE(b.linked());
  EXPECT_EQ(values(l), (std::vector{1, 3}));
  a.unlink();
  c.unlink();
  EXPECT_TRUE(l.empty());
}

TEST(List, a_popped_node_may_be_pushed_again) {
  item a(1), b(2);
  items l, other;
  l.push_back(a);
  l.push_back(b);
  other.push_back(*l.pop_front());
  EXPECT_EQ(values(l), (std::vector{2}));
  EXPECT_EQ(values(other), (std::vector{1}));
}

TEST(List, splice_appends_in_order_and_empties_the_other) {
  item a(1), b(2), c(3), d(4);
  items l, other;
  l.push_back(a);
  other.push_back(b);
  other.push_back(c);
  l.splice_back(other);
  EXPECT_TRUE(other.empty());
  l.splice_back(other);  // of nothing
  l.push_back(d);
  EXPECT_EQ(values(l), (std::vector{1, 2, 3, 4}));
  other.splice_back(l);
  EXPECT_EQ(values(other), (std::vector{1, 2, 3, 4}));
}

TEST(List, for_each_allows_unlinking_the_node_at_hand) {
  item a(1), b(2), c(3);
  items l;
  for (item* i : {&a, &b, &c}) l.push_back(*i);
  l.for_each([](item& i) {
    if (i.value != 2) i.unlink();
  });
  EXPECT_EQ(values(l), (std::vector{2}));
}

TEST(List, longer_than_counts_exactly) {
  item a(1), b(2);
  items l;
  EXPECT_FALSE(l.longer_than(0));
  l.push_back(a);
  EXPECT_TRUE(l.longer_than(0));
  EXPECT_FALSE(l.longer_than(1));
  l.push_back(b);
  EXPECT_TRUE(l.longer_than(1));
  EXPECT_FALSE(l.longer_than(2));
}

TEST(List, a_dying_list_lets_go_of_its_nodes) {
  item a(1), b(2);
  {
    items l;
    l.push_back(a);
    l.push_back(b);
  }
  EXPECT_FALSE(a.linked());
  EXPECT_FALSE(b.linked());
}

}  // namespace
}  // namespace parkring::detail
