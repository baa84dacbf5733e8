package tftp

// timerHeap orders sessions by wakeAt (container/heap).
type timerHeap []*session

func (t timerHeap) Len() int           { return len(t) }
func (t timerHeap) Less(i, j int) bool { return t[i].wakeAt.Before(t[j].wakeAt) }
func (t timerHeap) Swap(i, j int) {
	t[i], t[j] = t[j], t[i]
	t[i].index, t[j].index = i, j
}
func (t *timerHeap) Push(x any) {
	s := x.(*session)
	s.index = len(*t)
	*t = append(*t, s)
}
func (t *timerHeap) Pop() any {
	old := *t
	s := old[len(old)-1]
	old[len(old)-1] = nil
	*t = old[:len(old)-1]
	s.index = -1
	return s
}
