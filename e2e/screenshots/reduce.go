package main

import (
	"bytes"
	"cmp"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"slices"
)

// reduce writes a PNG anew in at most 256 colours, as small as the format allows. A page of flat fields and text loses
// nothing that one would see.
func reduce(picture []byte) ([]byte, error) {
	whole, err := png.Decode(bytes.NewReader(picture))
	if err != nil {
		return nil, fmt.Errorf("reading the browser's picture: %w", err)
	}
	colours := map[color.RGBA]int{}
	area := whole.Bounds()
	at := func(x, y int) color.RGBA { return color.RGBAModel.Convert(whole.At(x, y)).(color.RGBA) }
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			colours[at(x, y)]++
		}
	}
	boxes := cut(colours, 256)
	indexed := image.NewPaletted(area, nil)
	index := map[color.RGBA]uint8{}
	for i, box := range boxes {
		indexed.Palette = append(indexed.Palette, box.middle())
		for _, c := range box {
			index[c.RGBA] = uint8(i)
		}
	}
	for y := area.Min.Y; y < area.Max.Y; y++ {
		for x := area.Min.X; x < area.Max.X; x++ {
			indexed.SetColorIndex(x, y, index[at(x, y)])
		}
	}
	var out bytes.Buffer
	if err := (&png.Encoder{CompressionLevel: png.BestCompression}).Encode(&out, indexed); err != nil {
		return nil, fmt.Errorf("writing the picture: %w", err)
	}
	return out.Bytes(), nil
}

// counted is a colour and how many dots have it.
type counted struct {
	color.RGBA
	dots int
}

// box is colours that will be one.
type box []counted

// cut puts the colours into at most most boxes: the one with the greatest error is halved until there are enough. The one
// colour of a large field stays as it is, because its weight draws the cut to it.
func cut(colours map[color.RGBA]int, most int) []box {
	var all box
	for c, dots := range colours {
		all = append(all, counted{c, dots})
	}
	slices.SortFunc(all, func(a, b counted) int { // a map has no order, and the same picture must give the same file
		return cmp.Or(cmp.Compare(a.R, b.R), cmp.Compare(a.G, b.G), cmp.Compare(a.B, b.B), cmp.Compare(a.A, b.A))
	})
	boxes := []box{all}
	for len(boxes) < most {
		worst, worstError, worstChannel := -1, 0.0, 0
		for i, b := range boxes {
			if channel, e := b.spread(); e > worstError {
				worst, worstError, worstChannel = i, e, channel
			}
		}
		if worst < 0 {
			break
		}
		low, high := boxes[worst].halve(worstChannel)
		boxes[worst] = low
		boxes = append(boxes, high)
	}
	return boxes
}

func (c counted) channel(i int) float64 { return float64([...]uint8{c.R, c.G, c.B}[i]) }

// spread is the channel in which the box's colours differ most, and by how much: the sum of the squares.
func (b box) spread() (channel int, sum float64) {
	for i := range 3 {
		mean, e := b.mean(i), 0.0
		for _, c := range b {
			d := c.channel(i) - mean
			e += d * d * float64(c.dots)
		}
		if e > sum {
			channel, sum = i, e
		}
	}
	return channel, sum
}

func (b box) mean(channel int) float64 {
	sum, dots := 0.0, 0
	for _, c := range b {
		sum += c.channel(channel) * float64(c.dots)
		dots += c.dots
	}
	return sum / float64(dots)
}

// halve parts the box at the channel's mean. Both halves have something in them if the colours differ in it.
func (b box) halve(channel int) (low, high box) {
	mean := b.mean(channel)
	for _, c := range b {
		if c.channel(channel) <= mean {
			low = append(low, c)
		} else {
			high = append(high, c)
		}
	}
	return low, high
}

func (b box) middle() color.RGBA {
	round := func(i int) uint8 { return uint8(b.mean(i) + .5) }
	return color.RGBA{round(0), round(1), round(2), 255}
}
