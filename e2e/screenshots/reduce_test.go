package main

import (
	"bytes"
	"image"
	"image/color"
	"image/png"
	"testing"
)

func picture(t *testing.T, at func(x, y int) color.RGBA) []byte {
	t.Helper()
	m := image.NewRGBA(image.Rect(0, 0, 64, 64))
	for y := range 64 {
		for x := range 64 {
			m.SetRGBA(x, y, at(x, y))
		}
	}
	var b bytes.Buffer
	if err := png.Encode(&b, m); err != nil {
		t.Fatal(err)
	}
	return b.Bytes()
}

func TestReduce(t *testing.T) {
	for name, tt := range map[string]struct {
		at   func(x, y int) color.RGBA
		most int // how far a channel may be off
	}{
		"one colour":          {func(int, int) color.RGBA { return color.RGBA{223, 227, 233, 255} }, 0},
		"two that are close":  {func(x, _ int) color.RGBA { return color.RGBA{uint8(x / 32), 0, 0, 255} }, 0},
		"as many as it takes": {func(x, y int) color.RGBA { return color.RGBA{uint8(x % 16 * 16), uint8(y % 16 * 16), 9, 255} }, 0},
		"more than it takes":  {func(x, y int) color.RGBA { return color.RGBA{uint8(x * 4), uint8(y * 4), 9, 255} }, 16},
		"a field beside noise": {func(x, y int) color.RGBA {
			if y < 60 {
				return color.RGBA{195, 20, 45, 255}
			}
			return color.RGBA{uint8(x * 4), uint8(x * y), uint8(y * 4), 255}
		}, 16},
	} {
		t.Run(name, func(t *testing.T) {
			given := picture(t, tt.at)
			small, err := reduce(given)
			if err != nil {
				t.Fatal(err)
			}
			if again, err := reduce(given); err != nil || !bytes.Equal(small, again) {
				t.Errorf("the same picture gives another file: %v", err)
			}
			m, err := png.Decode(bytes.NewReader(small))
			if err != nil {
				t.Fatal(err)
			}
			if p, ok := m.(*image.Paletted); !ok || len(p.Palette) > 256 {
				t.Errorf("it is a %T", m)
			}
			for y := range 64 {
				for x := range 64 {
					want, got := tt.at(x, y), color.RGBAModel.Convert(m.At(x, y)).(color.RGBA)
					for _, pair := range [][2]uint8{{want.R, got.R}, {want.G, got.G}, {want.B, got.B}} {
						if off := int(pair[0]) - int(pair[1]); off > tt.most || -off > tt.most {
							t.Fatalf("at %d, %d: %v became %v", x, y, want, got)
						}
					}
				}
			}
		})
	}
	if _, err := reduce([]byte("no picture")); err == nil {
		t.Error("what is no picture was reduced")
	}
}
