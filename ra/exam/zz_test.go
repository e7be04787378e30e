package exam
import ("testing";"os";"fmt")
func TestZZ(t *testing.T){
 cards,err:=Cards(); if err!=nil{t.Fatal(err)}
 if g:=os.Getenv("CASES");g!=""{ cards,err=Choice{IDs:[]string{g}}.Choose(cards); if err!=nil{t.Fatal(err)}}
 sh,_:=os.ReadFile(os.Getenv("SH"))
 res,err:=Run(t.Context(),Options{Client:Client{Name:"x",Command:[]string{"bash","-c",string(sh)},Operations:Operations()},Cards:cards,Limit:8e9,Wire:os.Getenv("WIRE")!="",Ended:func(r Result){fmt.Printf("%-14s %-20s %5.1fs %s\n",r.Verdict,r.Card.ID,r.Took.Seconds(),r.Reason)
 if os.Getenv("WIRE")!=""{for _,x:=range r.Runs{fmt.Println(x.Stage,x.Control,x.Problem);fmt.Println(x.Wire)}}}})
 if err!=nil{t.Fatal(err)}
 n:=map[Verdict]int{}; for _,r:=range res{n[r.Verdict]++}; fmt.Println(len(cards),n)
}
