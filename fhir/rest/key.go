package rest

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha512"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"strings"
)

// The algorithms of SMART Backend Services.
const (
	algorithmRSA = "RS384"
	algorithmEC  = "ES384"
)

// minRSABits is the least that RFC 7518 takes.
const minRSABits = 2048

// signingKey is the private key of assertions.
type signingKey struct {
	hidden
	id        string // kid
	algorithm string
	private   crypto.Signer
}

// readKey reads a private key from a PEM or JWK file. id chooses among several
// and names a key that has no name of its own.
func readKey(path, id string) (*signingKey, error) {
	text, err := readSecret("auth.keyFile", path)
	if err != nil {
		return nil, err
	}
	var k *signingKey
	if strings.HasPrefix(string(text), "{") {
		k, err = readJWK([]byte(text), id)
	} else {
		k, err = readPEM([]byte(text), id)
	}
	if err != nil {
		return nil, fmt.Errorf("reading auth.keyFile: %s: %w", path, err)
	}
	return k, nil
}

func readPEM(text []byte, id string) (*signingKey, error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return nil, errors.New("it holds no private key: write a PEM with PRIVATE KEY, or a JWK")
		}
		if strings.Contains(block.Type, "ENCRYPTED") || block.Headers["DEK-Info"] != "" {
			return nil, errors.New("the key is encrypted: decrypt it, and protect the file by its rights")
		}
		if !strings.HasSuffix(block.Type, "PRIVATE KEY") {
			continue // parameters or certificates beside it
		}
		private, err := privateKey(block)
		if err != nil {
			return nil, err
		}
		if id == "" {
			return nil, errors.New("auth.keyID is empty: write the kid under which the server knows the key")
		}
		return newSigningKey(id, private)
	}
}

// privateKey parses the three forms in which tools write keys. What crypto/x509
// says of a broken one is left out: it is about bytes of the key.
func privateKey(block *pem.Block) (any, error) {
	var private any
	var err error
	switch block.Type {
	case "RSA PRIVATE KEY":
		private, err = x509.ParsePKCS1PrivateKey(block.Bytes)
	case "EC PRIVATE KEY":
		private, err = x509.ParseECPrivateKey(block.Bytes)
	default:
		private, err = x509.ParsePKCS8PrivateKey(block.Bytes)
	}
	if err != nil {
		return nil, errors.New("the private key cannot be read: is the file whole?")
	}
	return private, nil
}

// newSigningKey returns the key for the algorithm that it is made for.
func newSigningKey(id string, private any) (*signingKey, error) {
	switch p := private.(type) {
	case *rsa.PrivateKey:
		if p.N.BitLen() < minRSABits {
			return nil, fmt.Errorf("the RSA key has %d bits: make one of %d or more", p.N.BitLen(), minRSABits)
		}
		return &signingKey{id: id, algorithm: algorithmRSA, private: p}, nil
	case *ecdsa.PrivateKey:
		if p.Curve != elliptic.P384() {
			return nil, fmt.Errorf("the EC key is on curve %s: make one on P-384", p.Curve.Params().Name)
		}
		return &signingKey{id: id, algorithm: algorithmEC, private: p}, nil
	}
	return nil, errors.New("the key is neither RSA nor EC: make an RSA key for RS384 or a P-384 key for ES384")
}

// sign returns the signature in the form of JWS (RFC 7518, sections 3.3, 3.4).
func (k *signingKey) sign(text []byte) ([]byte, error) {
	hash := sha512.Sum384(text)
	p, ok := k.private.(*ecdsa.PrivateKey)
	if !ok {
		return k.private.Sign(rand.Reader, hash[:], crypto.SHA384)
	}
	r, s, err := ecdsa.Sign(rand.Reader, p, hash[:])
	if err != nil {
		return nil, err
	}
	size := (p.Curve.Params().BitSize + 7) / 8
	both := make([]byte, 2*size)
	r.FillBytes(both[:size])
	s.FillBytes(both[size:])
	return both, nil
}
