/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Both hashes have the same shape: blocks of 16 words, rounds over eight of them, constants that are fractions of the
 * cube roots of the first primes. The constants of SHA-256 are the upper halves of those of SHA-512.
 */
#include "sha2.h"

#include "check.h"

static const uint64_t round_constants[80] = {
	0x428a2f98d728ae22ULL, 0x7137449123ef65cdULL, 0xb5c0fbcfec4d3b2fULL, 0xe9b5dba58189dbbcULL,
	0x3956c25bf348b538ULL, 0x59f111f1b605d019ULL, 0x923f82a4af194f9bULL, 0xab1c5ed5da6d8118ULL,
	0xd807aa98a3030242ULL, 0x12835b0145706fbeULL, 0x243185be4ee4b28cULL, 0x550c7dc3d5ffb4e2ULL,
	0x72be5d74f27b896fULL, 0x80deb1fe3b1696b1ULL, 0x9bdc06a725c71235ULL, 0xc19bf174cf692694ULL,
	0xe49b69c19ef14ad2ULL, 0xefbe4786384f25e3ULL, 0x0fc19dc68b8cd5b5ULL, 0x240ca1cc77ac9c65ULL,
	0x2de92c6f592b0275ULL, 0x4a7484aa6ea6e483ULL, 0x5cb0a9dcbd41fbd4ULL, 0x76f988da831153b5ULL,
	0x983e5152ee66dfabULL, 0xa831c66d2db43210ULL, 0xb00327c898fb213fULL, 0xbf597fc7beef0ee4ULL,
	0xc6e00bf33da88fc2ULL, 0xd5a79147930aa725ULL, 0x06ca6351e003826fULL, 0x142929670a0e6e70ULL,
	0x27b70a8546d22ffcULL, 0x2e1b21385c26c926ULL, 0x4d2c6dfc5ac42aedULL, 0x53380d139d95b3dfULL,
	0x650a73548baf63deULL, 0x766a0abb3c77b2a8ULL, 0x81c2c92e47edaee6ULL, 0x92722c851482353bULL,
	0xa2bfe8a14cf10364ULL, 0xa81a664bbc423001ULL, 0xc24b8b70d0f89791ULL, 0xc76c51a30654be30ULL,
	0xd192e819d6ef5218ULL, 0xd69906245565a910ULL, 0xf40e35855771202aULL, 0x106aa07032bbd1b8ULL,
	0x19a4c116b8d2d0c8ULL, 0x1e376c085141ab53ULL, 0x2748774cdf8eeb99ULL, 0x34b0bcb5e19b48a8ULL,
	0x391c0cb3c5c95a63ULL, 0x4ed8aa4ae3418acbULL, 0x5b9cca4f7763e373ULL, 0x682e6ff3d6b2b8a3ULL,
	0x748f82ee5defb2fcULL, 0x78a5636f43172f60ULL, 0x84c87814a1f0ab72ULL, 0x8cc702081a6439ecULL,
	0x90befffa23631e28ULL, 0xa4506cebde82bde9ULL, 0xbef9a3f7b2c67915ULL, 0xc67178f2e372532bULL,
	0xca273eceea26619cULL, 0xd186b8c721c0c207ULL, 0xeada7dd6cde0eb1eULL, 0xf57d4f7fee6ed178ULL,
	0x06f067aa72176fbaULL, 0x0a637dc5a2c898a6ULL, 0x113f9804bef90daeULL, 0x1b710b35131c471bULL,
	0x28db77f523047d84ULL, 0x32caab7b40c72493ULL, 0x3c9ebe0a15c9bebcULL, 0x431d67c49c100d4cULL,
	0x4cc5d4becb3e42b6ULL, 0x597f299cfc657e2aULL, 0x5fcb6fab3ad6faecULL, 0x6c44198c4a475817ULL,
};
static const uint64_t start_512[8] = {
	0x6a09e667f3bcc908ULL, 0xbb67ae8584caa73bULL, 0x3c6ef372fe94f82bULL, 0xa54ff53a5f1d36f1ULL,
	0x510e527fade682d1ULL, 0x9b05688c2b3e6c1fULL, 0x1f83d9abfb41bd6bULL, 0x5be0cd19137e2179ULL,
};

struct sha2 {
	enum sha2_kind kind;
	uint64_t h[8];
	uint8_t block[128];
	size_t block_len; /* bytes in block */
	uint64_t len;	  /* bytes in all */
};

size_t sha2_len(enum sha2_kind kind)
{
	return kind == SHA2_256 ? 32 : 64;
}

static size_t block_size(enum sha2_kind kind)
{
	return kind == SHA2_256 ? 64 : 128;
}

static uint32_t ror32(uint32_t x, int n)
{
	return x >> n | x << (32 - n);
}

static uint64_t ror64(uint64_t x, int n)
{
	return x >> n | x << (64 - n);
}

static void block_256(struct sha2 *s)
{
	uint32_t w[64], v[8];

	for (int i = 0; i < 16; i++)
		w[i] = load_be32(s->block + 4 * i);
	for (int i = 16; i < 64; i++) {
		uint32_t a = ror32(w[i - 15], 7) ^ ror32(w[i - 15], 18) ^ w[i - 15] >> 3;
		uint32_t b = ror32(w[i - 2], 17) ^ ror32(w[i - 2], 19) ^ w[i - 2] >> 10;

		w[i] = w[i - 16] + a + w[i - 7] + b;
	}
	for (int i = 0; i < 8; i++)
		v[i] = (uint32_t)s->h[i];
	for (int i = 0; i < 64; i++) {
		uint32_t e = ror32(v[4], 6) ^ ror32(v[4], 11) ^ ror32(v[4], 25);
		uint32_t a = ror32(v[0], 2) ^ ror32(v[0], 13) ^ ror32(v[0], 22);
		uint32_t t = v[7] + e + ((v[4] & v[5]) ^ (~v[4] & v[6])) + (uint32_t)(round_constants[i] >> 32) + w[i];
		uint32_t major = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t;
		v[0] = t + a + major;
	}
	for (int i = 0; i < 8; i++)
		s->h[i] = (uint32_t)s->h[i] + v[i];
}

static void block_512(struct sha2 *s)
{
	uint64_t w[80], v[8];

	for (int i = 0; i < 16; i++)
		w[i] = load_be64(s->block + 8 * i);
	for (int i = 16; i < 80; i++) {
		uint64_t a = ror64(w[i - 15], 1) ^ ror64(w[i - 15], 8) ^ w[i - 15] >> 7;
		uint64_t b = ror64(w[i - 2], 19) ^ ror64(w[i - 2], 61) ^ w[i - 2] >> 6;

		w[i] = w[i - 16] + a + w[i - 7] + b;
	}
	memcpy(v, s->h, sizeof(v));
	for (int i = 0; i < 80; i++) {
		uint64_t e = ror64(v[4], 14) ^ ror64(v[4], 18) ^ ror64(v[4], 41);
		uint64_t a = ror64(v[0], 28) ^ ror64(v[0], 34) ^ ror64(v[0], 39);
		uint64_t t = v[7] + e + ((v[4] & v[5]) ^ (~v[4] & v[6])) + round_constants[i] + w[i];
		uint64_t major = (v[0] & v[1]) ^ (v[0] & v[2]) ^ (v[1] & v[2]);

		memmove(v + 1, v, 7 * sizeof(v[0]));
		v[4] += t;
		v[0] = t + a + major;
	}
	for (int i = 0; i < 8; i++)
		s->h[i] += v[i];
}

static void sha2_begin(struct sha2 *s, enum sha2_kind kind)
{
	*s = (struct sha2){.kind = kind};
	for (int i = 0; i < 8; i++)
		s->h[i] = kind == SHA2_256 ? start_512[i] >> 32 : start_512[i];
}

static void sha2_add(struct sha2 *s, struct bytes b)
{
	size_t size = block_size(s->kind);

	s->len += b.len;
	while (b.len > 0) {
		size_t n = MIN(size - s->block_len, b.len);

		memcpy(s->block + s->block_len, b.p, n);
		s->block_len += n;
		b.p += n;
		b.len -= n;
		if (s->block_len < size)
			return;
		if (s->kind == SHA2_256)
			block_256(s);
		else
			block_512(s);
		s->block_len = 0;
	}
}

static void sha2_end(struct sha2 *s, uint8_t *ret)
{
	static const uint8_t pad[128] = {0x80};
	size_t size = block_size(s->kind), length_size = size / 8;
	uint8_t length[16] = {0};
	uint64_t bits = s->len * 8;
	size_t used = (s->block_len + 1 + length_size) % size;

	store_be64(length + length_size - 8, bits);
	sha2_add(s, (struct bytes){pad, 1 + (used ? size - used : 0)});
	sha2_add(s, (struct bytes){length, length_size});
	CHECK(s->block_len == 0);
	for (size_t i = 0; i < 8; i++) {
		if (s->kind == SHA2_256)
			store_be32(ret + 4 * i, (uint32_t)s->h[i]);
		else
			store_be64(ret + 8 * i, s->h[i]);
	}
}

void sha2_hash(enum sha2_kind kind, struct bytes a, struct bytes b, uint8_t *ret)
{
	struct sha2 s;

	sha2_begin(&s, kind);
	sha2_add(&s, a);
	sha2_add(&s, b);
	sha2_end(&s, ret);
}

void sha2_hmac(enum sha2_kind kind, struct bytes key, struct bytes text, uint8_t *ret)
{
	uint8_t inner[128] = {0}, outer[128], inside[SHA2_LEN_MAX];
	size_t size = block_size(kind);

	if (key.len > size)
		sha2_hash(kind, key, BYTES_NULL, inner);
	else if (key.len > 0)
		memcpy(inner, key.p, key.len);
	for (size_t i = 0; i < size; i++) {
		outer[i] = inner[i] ^ 0x5c;
		inner[i] ^= 0x36;
	}
	sha2_hash(kind, (struct bytes){inner, size}, text, inside);
	sha2_hash(kind, (struct bytes){outer, size}, (struct bytes){inside, sha2_len(kind)}, ret);
}

void sha2_hi(enum sha2_kind kind, struct bytes password, struct bytes salt, int iterations, uint8_t *ret)
{
	uint8_t u[SHA2_LEN_MAX], first[256 + 4] = {0};
	size_t len = sha2_len(kind);

	CHECK(salt.len <= 256);
	if (salt.len)
		memcpy(first, salt.p, salt.len);
	store_be32(first + salt.len, 1);
	sha2_hmac(kind, password, (struct bytes){first, salt.len + 4}, u);
	memcpy(ret, u, len);
	for (int i = 1; i < iterations; i++) {
		sha2_hmac(kind, password, (struct bytes){u, len}, u);
		for (size_t j = 0; j < len; j++)
			ret[j] ^= u[j];
	}
}
