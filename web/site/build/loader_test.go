package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

// The loader is in pages that aren't ours. What it weighs is promised: 4 KB over the wire.
func TestTheLoaderIsSmall(t *testing.T) {
	const most = 4 << 10
	source, err := os.ReadFile(filepath.Join("..", "static", "embed", loader))
	if err != nil {
		t.Fatal(err)
	}
	small, err := minified(source)
	if err != nil {
		t.Fatal(err)
	}
	var packed bytes.Buffer
	if err := brotlied(small)(&packed); err != nil {
		t.Fatal(err)
	}
	if packed.Len() > most {
		t.Errorf("%d bytes with brotli (%d minified, %d written), of %d at most", packed.Len(), len(small), len(source), most)
	}
	t.Logf("%d bytes with brotli, %d minified, %d as written", packed.Len(), len(small), len(source))
}
