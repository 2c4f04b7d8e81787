package schemas

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
)

// idHexDigits is how much of a hash an id carries: with its prefix it stays
// below the 64 characters that FHIR allows.
const idHexDigits = 40

// HashID returns prefix and the first 40 hex digits of SHA-256 over fields,
// each behind its length in 8 big-endian bytes, so that no two lists of fields
// run into each other.
func HashID(prefix string, fields ...string) string {
	var b []byte
	for _, f := range fields {
		b = binary.BigEndian.AppendUint64(b, uint64(len(f)))
		b = append(b, f...)
	}
	sum := sha256.Sum256(b)
	return prefix + hex.EncodeToString(sum[:])[:idHexDigits]
}
