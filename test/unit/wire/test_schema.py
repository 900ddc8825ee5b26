# SPDX-License-Identifier: Apache-2.0
"""What the reader of schema/*.msg refuses, and how it names the place."""
import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, sys.argv.pop(1))
import emit_msg  # noqa: E402
import schema  # noqa: E402

GOOD = """# SPDX-License-Identifier: Apache-2.0
# Thing: does it.
api 9 Thing   versions 1-4   flexible 3+   listeners broker

request
  names     []string  1+   null 2+  default null  # all of them
  parts     []struct  2+   ignorable
    index   int32     2+   default -1
    place   uuid      4+   tag 0
  limit     int64     1-2  default 7

response
  first     node      1+   null 3+  default null
  others    []node    2+
  struct node
    id      int32     1+
    port    uint16    3+
"""


class Refused(unittest.TestCase):
    def read(self, text):
        return schema.Reader("x.msg", text).read()

    def refuse(self, old, new, message):
        self.assertEqual(GOOD.count(old), 1, old)
        with self.assertRaises(schema.SchemaError) as caught:
            self.read(GOOD.replace(old, new))
        self.assertEqual(str(caught.exception), message)

    def test_good(self):
        api = self.read(GOOD).apis[0]
        self.assertEqual((api.key, api.versions, api.flexible[0], api.doc), (9, (1, 4), 3, "Thing: does it."))
        self.assertEqual([s.c_name for s in api.request.structs], ["thing_request_parts", "thing_request"])
        self.assertEqual([f.name for f in api.response.structs[0].fields], ["id", "port"])

    def test_places(self):
        self.refuse("ignorable", "ignorible", "x.msg:7: unknown option ignorible")
        self.refuse("default 7", "default", "x.msg:10: option default wants an argument")
        self.refuse("default 7", "default x", "x.msg:10: 'x' is not a number")
        self.refuse("default 7", "default null", "x.msg:10: default null wants the option null")
        self.refuse("1-2", "2-1", "x.msg:10: versions '2-1' end before they begin")
        self.refuse("1-2", "v1", "x.msg:10: 'v1' is not a range of versions (3, 3+, 3-7 or none)")
        self.refuse("tag 0", "tag 0 tag 1", "x.msg:9: option tag stands twice")
        self.refuse("4+   tag 0", "1+   tag 0", "x.msg:9: a field has a tag in versions that are not flexible")
        self.refuse("    index ", "   index ", "x.msg:8: the indentation fits no line above")
        self.refuse("limit ", "names ", "x.msg:10: field names stands twice")
        self.refuse("limit ", "Limit ", "x.msg:10: 'Limit' is not a name in snake_case")
        self.refuse("[]node ", "[]nude ", "x.msg:14: no type or struct named nude")
        self.refuse("index   int32     2+   default -1", "index   int32     2+   null 2+",
                    "x.msg:8: a single int32 cannot be null")
        self.refuse("id      int32 ", "id      node  ", "x.msg:18: struct thing_response_node contains itself")
        self.refuse("listeners broker", "listeners brokers",
                    "x.msg:3: listeners are broker and controller, not 'brokers'")
        self.refuse("versions 1-4", "versions 1+", "x.msg:3: wants versions with both ends, flexible, and listeners")
        self.refuse("\nresponse", "\nreply", "x.msg:12: 'reply' cannot stand here")

    def test_numbers_are_unique(self):
        with tempfile.TemporaryDirectory() as folder:
            for part in ("api", "common", "record"):
                os.mkdir(os.path.join(folder, part))
            for name, word in (("09_thing", "Thing"), ("10_other", "Other")):
                with open(os.path.join(folder, "api", name + ".msg"), "w", encoding="utf-8") as f:
                    f.write(GOOD.replace("Thing", word))
            with self.assertRaises(schema.SchemaError) as caught:
                schema.read_all(folder)
            self.assertIn("10_other.msg: Other has the number of Thing", str(caught.exception))

    def test_layouts(self):
        request = self.read(GOOD).apis[0].request
        found, of_version = emit_msg.layouts(request, request.root)
        self.assertEqual(of_version, [0, 1, 2, 2])
        self.assertEqual([layout[5] for layout in found], [4 + 8, 4 + 4 + 8, 1 + 1 + 1])
        self.assertEqual([len(layout[3]) for layout in found], [0, 0, 1])  # limit is lost from version 3 on


unittest.main()
