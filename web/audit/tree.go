package audit

import (
	"fmt"
	"math/bits"
	"slices"

	"golang.org/x/mod/sumdb/tlog"
)

// tree is an RFC 6962 Merkle tree that only grows: its size and the hashes of its complete subtrees, largest first, which
// are all that a root and the next leaf need. The zero value is the empty tree.
type tree struct {
	size   int64
	hashes []tlog.Hash
}

func (t *tree) add(leaf tlog.Hash) {
	for n := t.size; n&1 == 1; n >>= 1 {
		last := len(t.hashes) - 1
		leaf = tlog.NodeHash(t.hashes[last], leaf)
		t.hashes = t.hashes[:last]
	}
	t.hashes = append(t.hashes, leaf)
	t.size++
}

// root is the tree head. The empty tree has none: the zero hash.
func (t *tree) root() (root tlog.Hash) {
	for i, h := range slices.Backward(t.hashes) {
		if i == len(t.hashes)-1 {
			root = h
		} else {
			root = tlog.NodeHash(h, root)
		}
	}
	return root
}

func (t *tree) clone() tree { return tree{t.size, slices.Clone(t.hashes)} }

// bytes are the subtree hashes one after the other.
func (t *tree) bytes() []byte {
	b := make([]byte, 0, len(t.hashes)*tlog.HashSize)
	for _, h := range t.hashes {
		b = append(b, h[:]...)
	}
	return b
}

func parseTree(size int64, b []byte) (tree, error) {
	if size < 0 || len(b) != bits.OnesCount64(uint64(size))*tlog.HashSize {
		return tree{}, fmt.Errorf("a tree of %d records doesn't have %d bytes of hashes", size, len(b))
	}
	t := tree{size: size}
	for h := range slices.Chunk(b, tlog.HashSize) {
		t.hashes = append(t.hashes, tlog.Hash(h))
	}
	return t, nil
}
