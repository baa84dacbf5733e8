package dhcp

// bindingHeap orders bindings by when to look at them next.
type bindingHeap []*binding

func (h bindingHeap) Len() int           { return len(h) }
func (h bindingHeap) Less(i, j int) bool { return h[i].heapUntil < h[j].heapUntil }
func (h bindingHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].heapIndex, h[j].heapIndex = i, j
}
func (h *bindingHeap) Push(x any) {
	b := x.(*binding)
	b.heapIndex = len(*h)
	*h = append(*h, b)
}
func (h *bindingHeap) Pop() any {
	last := len(*h) - 1
	b := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	b.heapIndex = -1
	return b
}
