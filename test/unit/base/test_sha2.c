/* SPDX-License-Identifier: Apache-2.0 */
/* SHA-2, HMAC, PBKDF2 and base64 against known answers. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>

#include <cmocka.h>

#include "base64.h"
#include "sha2.h"

static void assert_hex(const uint8_t *p, size_t len, const char *hex)
{
	char got[2 * SHA2_LEN_MAX + 1];

	for (size_t i = 0; i < len; i++)
		snprintf(got + 2 * i, 3, "%02x", p[i]);
	assert_string_equal(got, hex);
}

static void test_hashes(void **state)
{
	static const struct {
		size_t len;
		const char *sha256, *sha512;
	} rows[] = {
		{0, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
		 "cf83e1357eefb8bdf1542850d66d8007d620e4050b5715dc83f4a921d36ce9ce"
		 "47d0d13c5d85f2b0ff8318d2877eec2f63b931bd47417a81a538327af927da3e"},
		{3, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad",
		 "ddaf35a193617abacc417349ae20413112e6fa4e89a97ea20a9eeee64b55d39a"
		 "2192992a274fc1a836ba3c23a3feebbd454d4423643ce80e2a9ac94fa54ca49f"},
		{55, "61fd29acc674f5bf68ff548a1aef2a05ba3523a9ba8e5c82b194cbbfdf28bf1f",
		 "00521d935d46a8ff6d90f58a39b7b4761ac6f17218050531e68dc3e3332d2552"
		 "665d27495a645522a29fa68281dc00a3feb6dc4bf8dc2b2a39c1eeb531f8359b"},
		{56, "63bb88000afff2d2569ece88877c4271c9f28de8620585c27538ce4e5a3701bb",
		 "d50773734520e35e4fc8b38cce14ebbe2f47e76c593f8ea9642c8cf839bb973c"
		 "3190fdc05d8f7530ba8e97dd36f813e89518fa820292cd41e6d7b0748510e02a"},
		{63, "23fdd92cd8f2cdf8d057479d7bc39d74d0bd90bef2191627dcc9936102a2e90f",
		 "7ae41793495e6e3719bcf8bed826b2a108bd9f6694dec7f0414e8b38059326dc"
		 "539e7fba22004889b089cad9c637d370f17b0d3ed4283c065f14b88b8d9093c3"},
		{64, "9ed060c766efa8e4a9e451aef0915daf135de966d62728466cc7215baf33c0a2",
		 "b99546fb14f6c5e8459f132168b1726fb1a717ee87337411bad7b38f5099e051"
		 "ad2d7ed6a1a3004f502fca511738da95de49a1935d774155af5242b4eb08cf69"},
		{111, "e9aac042f794d23350d00a9b4d7107465742d97cc82936fe5ab0530a15b5d1dd",
		 "c793b4ff0b2eb049192615ad1d2a9cb507bacfaa528599145752dc420199b913"
		 "4cdbe02bb3e2ce9c48289abd0c97d9b51dc875bc2994468c120e306c657c8447"},
		{112, "6773510bff3f9ea20b64df5fdcaa9ac6558615098b834a310a2c3af6716ae3cd",
		 "f6d73e02bec5cadaf1bbca4a1230022aca4ec37e02d0a5b7b5924a21992803bb"
		 "4b0490a3047bc7735fc08600930c22e13a2e94d6109a8d9be60fdbc3edfc6e59"},
		{127, "777ffd658dbf11698ef7ae506f3cc0c34387680460bf84e3517414bf56c49c25",
		 "593515eb0f49a080e8bf5566f5be1587244e9f62aef6ceafff3b086dfee1c370"
		 "68ff2c6f1efd94af39fbed4dd8e6ab14a14bd350ca7bb86a8323496c26053731"},
		{128, "4635ebf5d999837daa19d22dd0fa1067db65aabd0fd559968bd252077a9eada6",
		 "3c72b3f06f95ebdf5dcdc47d3f4e1182106b261e0e6ea3b035127c480f580ee7"
		 "d1dc04b5e5e3b54adc3364bb0b7b6e8d897a9a36bc037da01ce4f5bb52177418"},
		{300, "d9f5aeb06abebb3be3f38adec9a2e3b94228d52193be923eb4e24c9b56ee0930",
		 "01bb4dcc9a05e5e1dec199e763274f275432cefa91177f01e3d6e6353244369f"
		 "a0669cddc67456c941b42ba04c7b196d6fda6700e2498dc8c83200db134b43c7"},
	};
	uint8_t text[300], got[SHA2_LEN_MAX];

	(void)state;
	for (size_t i = 0; i < sizeof(text); i++)
		text[i] = (uint8_t)("abc"[i % 3]);
	for (size_t i = 0; i < ARRAY_N(rows); i++) {
		for (size_t cut = 0; cut <= rows[i].len; cut += 1 + rows[i].len / 5) {
			struct bytes a = {text, cut}, b = {text + cut, rows[i].len - cut};

			sha2_hash(SHA2_256, a, b, got);
			assert_hex(got, 32, rows[i].sha256);
			sha2_hash(SHA2_512, a, b, got);
			assert_hex(got, 64, rows[i].sha512);
		}
	}
}

static void test_keyed(void **state)
{
	uint8_t key[200], got[SHA2_LEN_MAX];

	(void)state;
	memset(key, 'k', sizeof(key));
	sha2_hmac(SHA2_256, (struct bytes){key, 200}, str_bytes(STR("text")), got);
	assert_hex(got, 32, "0213fa56a4d26fac09aee9ef2a6faf1f38dfce0d3c4238d63981b8af5d6228ba");
	sha2_hmac(SHA2_512, (struct bytes){key, 200}, str_bytes(STR("text")), got);
	assert_hex(got, 64, "1e035a94da201ddf12da1331e3a850981a9c25af07e2c63aa4ac2b1fac9186f9"
			    "73e5851463fd3611ab113a8f303ffa3949f7726d288f2f8ab58dfa6ba876905e");
	sha2_hi(SHA2_256, str_bytes(STR("alice-secret")), str_bytes(STR("salt")), 4096, got);
	assert_hex(got, 32, "bf8f391db29020272d3610a3c2f7e537609b5c899100aac8d73e9d4b18c68ead");
	sha2_hi(SHA2_512, str_bytes(STR("alice-secret")), str_bytes(STR("salt")), 4096, got);
	assert_hex(got, 64, "4384db73e1554d68389c74b1302313f9805a7357ce83b813bf51e186112f6374"
			    "93d6c6f309838cf8cd991ba9975d3fa52c176c0a17381e4c01dc6f650208276d");
}

static void test_base64(void **state)
{
	uint8_t got[8];
	size_t len;

	(void)state;
	assert_int_equal(base64_decode(STR("c2FsdA=="), got, sizeof(got), &len), ERR_NONE);
	assert_int_equal(len, 4);
	assert_memory_equal(got, "salt", 4);
	assert_int_equal(base64_decode(STR("c2FsdA"), got, sizeof(got), &len), ERR_NONE);
	assert_int_equal(len, 4);
	assert_int_equal(base64_decode(STR("/+8="), got, sizeof(got), &len), ERR_NONE);
	assert_int_equal(len, 2);
	assert_int_equal(got[0], 0xff);
	assert_int_equal(base64_decode(STR(""), got, sizeof(got), &len), ERR_NONE);
	assert_int_equal(len, 0);
	assert_int_equal(base64_decode(STR("c"), got, sizeof(got), &len), ERR_INVALID_TEXT);
	assert_int_equal(base64_decode(STR("c2F!"), got, sizeof(got), &len), ERR_INVALID_TEXT);
	assert_int_equal(base64_decode(STR("AAAAAAAAAAAAAAAA"), got, sizeof(got), &len), ERR_TOO_LARGE);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_hashes),
		cmocka_unit_test(test_keyed),
		cmocka_unit_test(test_base64),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
