// LUT-network local search, exact don't-cares by simulation. v2: small sample filter + full domain.
#include <cstdio>
#include <cstdlib>
#include <cstdint>
#include <cstring>
#include <vector>
#include <string>
#include <random>
#include <algorithm>
#include <cmath>
#include <chrono>
#include <iostream>
#include <fstream>
using namespace std; typedef uint64_t u64; typedef vector<u64> BV;
static int K=6; static mt19937_64 rng; static inline int R(int n){return rng()%n;} static double U(){return (double)(rng()>>11)/9007199254740992.0;}
struct Node{ vector<int> in; u64 tab; };
struct Net{ int P; vector<Node> n; vector<int> out; };
struct Dom{ int W=0; vector<BV> pin,spec; BV valid; };
static void evalLut(const Node&nd,const vector<const u64*>&v,u64*o,int W){
  int m=nd.in.size(); const u64*p[6]; for(int i=0;i<m;i++)p[i]=v[nd.in[i]]; const int B=32; u64 buf[32][B];
  for(int w=0;w<W;w+=B){ int e=min(B,W-w); if(m==0){for(int i=0;i<e;i++)o[w+i]=(nd.tab&1)?~0ull:0;continue;}
    int cnt=1<<(m-1);
    for(int j=0;j<cnt;j++){ int t=(nd.tab>>(2*j))&3; const u64*a=p[0]+w; u64*b=buf[j]; if(t==0)memset(b,0,e*8); else if(t==3)memset(b,255,e*8); else if(t==2)memcpy(b,a,e*8); else for(int i=0;i<e;i++)b[i]=~a[i]; }
    for(int l=1;l<m;l++){cnt>>=1;const u64*s=p[l]+w;for(int j=0;j<cnt;j++){u64*x=buf[2*j],*y=buf[2*j+1],*z=buf[j];for(int i=0;i<e;i++)z[i]=x[i]^((x[i]^y[i])&s[i]);}}
    memcpy(o+w,buf[0],e*8);} }
struct Sim{ Dom*d; vector<BV> val; vector<BV> tmp;
  vector<const u64*> ptrs(const Net&g){ vector<const u64*> v(g.P+g.n.size()); for(int i=0;i<g.P;i++)v[i]=d->pin[i].data(); for(size_t i=0;i<g.n.size();i++)v[g.P+i]=val[i].data(); return v;}
  void all(const Net&g){ val.resize(g.n.size()); for(auto&b:val)b.resize(d->W); auto v=ptrs(g); for(size_t i=0;i<g.n.size();i++)evalLut(g.n[i],v,val[i].data(),d->W);} 
  void from(const Net&g,int x){ int N=g.n.size(); vector<char> t(N,0); t[x]=1; auto v=ptrs(g); evalLut(g.n[x],v,val[x].data(),d->W); for(int i=x+1;i<N;i++){ for(int f:g.n[i].in)if(f>=g.P&&t[f-g.P])t[i]=1; if(t[i])evalLut(g.n[i],v,val[i].data(),d->W);} }
  bool ok(const Net&g){ auto v=ptrs(g); for(size_t o=0;o<g.out.size();o++){const u64*a=v[g.out[o]];for(int w=0;w<d->W;w++)if((a[w]^d->spec[o][w])&d->valid[w])return false;}return true;}
  void care(const Net&g,int x,BV&c,vector<char>&t){ int N=g.n.size(),P=g.P,W=d->W; t.assign(N,0);t[x]=1; tmp.resize(N); auto v=ptrs(g); tmp[x].resize(W); for(int w=0;w<W;w++)tmp[x][w]=~val[x][w]; v[P+x]=tmp[x].data(); for(int i=x+1;i<N;i++){ for(int f:g.n[i].in)if(f>=P&&t[f-P])t[i]=1; if(t[i]){tmp[i].resize(W);evalLut(g.n[i],v,tmp[i].data(),W);v[P+i]=tmp[i].data();}}
    c.assign(W,0); for(int q:g.out){ if(q<P||!t[q-P])continue; const u64*a=v[q],*b=val[q-P].data(); for(int w=0;w<W;w++)c[w]|=(a[w]^b[w])&d->valid[w]; } }
};
static int edges(const Net&g){int e=0;for(auto&n:g.n)e+=n.in.size();return e;}
// returns -1 if feasible, else word index of conflict
static int feasRange(const BV&on,const BV&off,const vector<const u64*>&f,int w0,int w1,u64&t1,u64&t0){ int m=f.size(); for(int w=w0;w<w1;w++){ u64 a=on[w],b=off[w]; if(!(a|b))continue; u64 mt[64]; mt[0]=~0ull;int c=1; for(int l=0;l<m;l++){u64 s=f[l][w]; for(int j=0;j<c;j++){mt[c+j]=mt[j]&s;mt[j]&=~s;} c<<=1;} u64 A=0,B=0; for(int j=0;j<c;j++){A|=(u64)((mt[j]&a)!=0)<<j;B|=(u64)((mt[j]&b)!=0)<<j;} t1|=A;t0|=B; if(t1&t0)return w;} return -1;}
static void save(const Net&g,const string&fn){ofstream o(fn);o<<g.P<<" "<<g.n.size()<<" "<<g.out.size()<<"\n";for(auto&n:g.n){o<<n.in.size();for(int f:n.in)o<<" "<<f;o<<" "<<hex<<n.tab<<dec<<"\n";}for(int x:g.out)o<<x<<" ";o<<"\n";}
static Net load(const string&fn){ifstream i(fn);Net g;int N,O;i>>g.P>>N>>O;g.n.resize(N);for(auto&n:g.n){int m;i>>m;n.in.resize(m);for(int&f:n.in)i>>f;i>>hex>>n.tab>>dec;}g.out.resize(O);for(int&x:g.out)i>>x;return g;}
static Dom loadDom(const string&fn){ifstream i(fn,ios::binary);int32_t h[3];i.read((char*)h,12);Dom d;int P=h[0],O=h[1],W=h[2];d.W=W;d.pin.assign(P,BV(W));d.spec.assign(O,BV(W));d.valid.resize(W);for(auto&p:d.pin)i.read((char*)p.data(),8ll*W);i.read((char*)d.valid.data(),8ll*W);for(auto&p:d.spec)i.read((char*)p.data(),8ll*W);return d;}
struct State{ Net g; Sim full,small; };
static int gTrack=-1;
static void reorder(State&s,const vector<int>&ord){ // keep nodes in ord (old indexes), in that order
  int P=s.g.P,N=s.g.n.size(); vector<int> mp(P+N,-1); for(int i=0;i<P;i++)mp[i]=i; for(size_t k=0;k<ord.size();k++)mp[P+ord[k]]=P+k; if(gTrack>=0)gTrack=mp[P+gTrack]<0?-1:mp[P+gTrack]-P; Net h;h.P=P; vector<BV> a,b; for(int o:ord){Node nd=s.g.n[o]; for(int&f:nd.in)f=mp[f]; h.n.push_back(nd); a.push_back(move(s.full.val[o])); b.push_back(move(s.small.val[o]));} h.out=s.g.out; for(int&o:h.out)o=mp[o]; s.g=h; s.full.val.swap(a); s.small.val.swap(b);} 
static void tidy(State&s){ int P=s.g.P,N=s.g.n.size(); vector<char> st(N,0); vector<int> ord; struct F{static void dfs(Net&g,int i,vector<char>&st,vector<int>&ord){if(st[i])return;st[i]=1;for(int f:g.n[i].in)if(f>=g.P)dfs(g,f-g.P,st,ord);ord.push_back(i);}}; 
  vector<char> need(N,0); vector<int> stk; for(int o:s.g.out)if(o>=P)stk.push_back(o-P); while(!stk.empty()){int i=stk.back();stk.pop_back();if(need[i])continue;need[i]=1;for(int f:s.g.n[i].in)if(f>=P)stk.push_back(f-P);} for(int i=0;i<N;i++)if(need[i])F::dfs(s.g,i,st,ord); reorder(s,ord);} 
static u64 dropVar(u64 t,int m,int i,int val){u64 r=0;for(int a=0;a<(1<<(m-1));a++){int f=(a&((1<<i)-1))|((a>>i)<<(i+1))|(val<<i);if(t>>f&1)r|=1ull<<a;}return r;}
static void cleanNode(Node&n){ // idle inputs out
  for(int i=(int)n.in.size()-1;i>=0;i--){int m=n.in.size();u64 a=dropVar(n.tab,m,i,0),b=dropVar(n.tab,m,i,1);if(a==b){n.tab=a;n.in.erase(n.in.begin()+i);} } }
static void substitute(Net&g,int from,int to,bool inv){ for(auto&n:g.n){ for(int i=0;i<(int)n.in.size();i++)if(n.in[i]==from){ if(inv){u64 nt=0;int sz=1<<n.in.size();for(int a=0;a<sz;a++)if(n.tab>>(a^(1<<i))&1)nt|=1ull<<a;n.tab=nt;} n.in[i]=to; for(int j=0;j<(int)n.in.size();j++)if(j!=i&&n.in[j]==to){int lo=min(i,j),hi=max(i,j);u64 nt=0;int m=n.in.size();for(int a=0;a<(1<<(m-1));a++){int b=a>>lo&1;int f=(a&((1<<hi)-1))|((a>>hi)<<(hi+1))|(b<<hi);if(n.tab>>f&1)nt|=1ull<<a;}n.in.erase(n.in.begin()+hi);n.tab=nt;break;} break;} } if(!inv)for(int&o:g.out)if(o==from)o=to; }
int main(int c,char**a){ if(c<6){puts("sb dom net out seed seconds [T] [up] [smallwords] [maxover]");return 1;}
  Dom D=loadDom(a[1]); State s; s.g=load(a[2]); string outf=a[3]; rng.seed(atoi(a[4])); double secs=atof(a[5]),T=c>6?atof(a[6]):0.5,up=c>7?atof(a[7]):0.002; int SW=c>8?atoi(a[8]):256; int over=c>9?atoi(a[9]):1; double Tlo=c>10?atof(a[10]):T, per=c>11?atof(a[11]):20; double Thi=T;
  Dom S; S.W=min(SW,D.W); for(auto&p:D.pin)S.pin.push_back(BV(p.begin(),p.begin()+S.W)); for(auto&p:D.spec)S.spec.push_back(BV(p.begin(),p.begin()+S.W)); S.valid=BV(D.valid.begin(),D.valid.begin()+S.W);
  s.full.d=&D; s.small.d=&S; s.full.all(s.g); s.small.all(s.g); if(!s.full.ok(s.g)){puts("start net wrong");return 1;} tidy(s);
  int best=s.g.n.size(); Net bestNet=s.g; printf("start %d edges %d W %d\n",best,edges(s.g),D.W); fflush(stdout);
  auto t0=chrono::steady_clock::now(); auto el=[&]{return chrono::duration<double>(chrono::steady_clock::now()-t0).count();}; long it=0,acc=0,rej=0; int addw=0;
  while(el()<secs){ it++; {double ph=fmod(el(),per)/per; T=Thi*pow(Tlo/Thi,ph);} int P=s.g.P,N=s.g.n.size();
    if(N<=best+over-1 && U()<up){ // add a helper node as redundant fanin of some node
      vector<int> xs; for(int i=0;i<N;i++)if(s.g.n[i].in.size()<(size_t)K)xs.push_back(i); if(!xs.empty()){ int x=xs[R(xs.size())]; Node h; int kind=R(3);
        vector<int> pool; for(int i=0;i<P+x;i++)pool.push_back(i);
        if(kind==0||x==0){int m=2+R(3);for(int i=0;i<m;i++){int q=pool[R(pool.size())];if(find(h.in.begin(),h.in.end(),q)==h.in.end())h.in.push_back(q);} h.tab=rng();}
        else { int y=R(x); h=s.g.n[y]; if(kind==1&&h.in.size()>1){int i=R(h.in.size());h.tab=dropVar(h.tab,h.in.size(),i,R(2));h.in.erase(h.in.begin()+i);} else { int q=pool[R(pool.size())]; if(h.in.size()<(size_t)K&&find(h.in.begin(),h.in.end(),q)==h.in.end()){int m=h.in.size();u64 lo=h.tab&(m==6?~0ull:((1ull<<(1<<m))-1));u64 hi=R(2)?~lo:(R(2)?0:~0ull);h.in.push_back(q);h.tab=lo|(hi<<(1<<m));} } }
        if(h.in.size()<(size_t)6)h.tab&=(1ull<<(1<<h.in.size()))-1; cleanNode(h); if(h.in.size()>=2){ // insert before x
          Net g2=s.g; for(auto&n:g2.n)for(int&f:n.in)if(f>=P+x)f++; for(int&o:g2.out)if(o>=P+x)o++; g2.n.insert(g2.n.begin()+x,h); Node&nx=g2.n[x+1]; int m=nx.in.size(); u64 lo=nx.tab&((1ull<<(1<<m))-1); nx.in.push_back(P+x); nx.tab=lo|(lo<<(1<<m)); s.g=g2; s.full.val.insert(s.full.val.begin()+x,BV(D.W)); s.small.val.insert(s.small.val.begin()+x,BV(S.W)); auto v=s.full.ptrs(s.g); evalLut(s.g.n[x],v,s.full.val[x].data(),D.W); auto v2=s.small.ptrs(s.g); evalLut(s.g.n[x],v2,s.small.val[x].data(),S.W); N++; } } }
    int x=R(N); BV cs; vector<char> tfo; s.small.care(s.g,x,cs,tfo); BV on(S.W),off(S.W); for(int w=0;w<S.W;w++){on[w]=cs[w]&s.small.val[x][w];off[w]=cs[w]&~s.small.val[x][w];}
    vector<int> cand; for(int i=0;i<P+N;i++)if(i<P||!tfo[i-P])cand.push_back(i);
    auto vs=s.small.ptrs(s.g); auto vf=s.full.ptrs(s.g); vector<int> fo(P+N,0); for(auto&n:s.g.n)for(int f:n.in)fo[f]++; for(int o:s.g.out)fo[o]+=100;
    vector<int> cur=s.g.n[x].in; BV fon,foff; bool haveFull=false; bool changed=false;
    auto delta=[&](const vector<int>&in){ double d=(double)in.size()-(double)cur.size(); for(int f:cur)if(f>=P&&find(in.begin(),in.end(),f)==in.end()){if(fo[f]==1)d-=100;else if(fo[f]==2)d-=0.7;} for(int f:in)if(f>=P&&find(cur.begin(),cur.end(),f)==cur.end()){if(fo[f]==1)d+=0.7;} return d;};
    for(int t=0;t<60&&!changed;t++){ vector<int> in=cur; int mv=R(10);
      if(mv<2){ if(in.size()<=1)continue; in.erase(in.begin()+R(in.size())); }
      else if(mv<6){ if(in.empty())continue; int i=R(in.size()),q=cand[R(cand.size())]; if(find(in.begin(),in.end(),q)!=in.end())continue; in[i]=q; }
      else if(mv<7){ if(in.size()>=(size_t)K)continue; int q=cand[R(cand.size())]; if(find(in.begin(),in.end(),q)!=in.end())continue; in.push_back(q);} 
      else if(mv<8){ if(in.empty())continue; int i=R(in.size()); if(in[i]<P)continue; vector<int> z=s.g.n[in[i]-P].in; in.erase(in.begin()+i); for(int f:z)if(find(in.begin(),in.end(),f)==in.end())in.push_back(f); if(in.size()>(size_t)K)continue; }
      else { if(in.size()<2)continue; for(int r=0;r<2;r++){int i=R(in.size()),q=cand[R(cand.size())]; if(find(in.begin(),in.end(),q)==in.end())in[i]=q;} if(in==cur)continue; }
      double d=delta(in); if(d>0&&U()>exp(-d/T))continue;
      vector<const u64*> f; for(int q:in)f.push_back(vs[q]); u64 t1=0,t0_=0; int st=R(S.W); if(feasRange(on,off,f,st,S.W,t1,t0_)>=0||feasRange(on,off,f,0,st,t1,t0_)>=0)continue;
      if(!haveFull){ BV cf; vector<char> tt; s.full.care(s.g,x,cf,tt); fon.resize(D.W);foff.resize(D.W); for(int w=0;w<D.W;w++){fon[w]=cf[w]&s.full.val[x][w];foff[w]=cf[w]&~s.full.val[x][w];} haveFull=true; }
      f.clear(); for(int q:in)f.push_back(vf[q]); t1=t0_=0; int bad=feasRange(fon,foff,f,0,D.W,t1,t0_);
      if(bad>=0){ rej++; // add this word to small, replacing round robin / growing
        if(S.W<4096){ int w=S.W++; for(int i=0;i<P;i++)S.pin[i].push_back(D.pin[i][bad]); for(size_t o=0;o<S.spec.size();o++)S.spec[o].push_back(D.spec[o][bad]); S.valid.push_back(D.valid[bad]); for(size_t i=0;i<s.small.val.size();i++)s.small.val[i].push_back(s.full.val[i][bad]); on.push_back(fon[bad]); off.push_back(foff[bad]); vs=s.small.ptrs(s.g); (void)w; addw++; }
        continue; }
      u64 full=in.size()==6?~0ull:((1ull<<(1<<in.size()))-1),dc=full&~(t1|t0_); u64 tab=t1|(dc&(R(2)?rng():(R(2)?0:~0ull))); s.g.n[x].in=in; s.g.n[x].tab=tab; changed=true; }
    if(changed){ acc++; cleanNode(s.g.n[x]); Node nd=s.g.n[x]; 
      if(nd.in.size()==0){ // constant: fold into readers
        int v=nd.tab&1; bool isout=false; for(int o:s.g.out)if(o==P+x)isout=true; if(!isout)for(auto&n:s.g.n)for(int i=0;i<(int)n.in.size();i++)if(n.in[i]==P+x){n.tab=dropVar(n.tab,n.in.size(),i,v);n.in.erase(n.in.begin()+i);break;} }
      else if(nd.in.size()==1)substitute(s.g,P+x,nd.in[0],(nd.tab&3)==1);
      // topological order then resim from earliest
      bool one=s.g.n[x].in.size()>=2; gTrack=one?x:-1; tidy(s); if(one&&gTrack>=0){s.full.from(s.g,gTrack);s.small.from(s.g,gTrack);}else{s.full.all(s.g); s.small.all(s.g);} gTrack=-1; if((acc&1023)==0&&!s.full.ok(s.g)){puts("BUG");return 2;}
      int n=s.g.n.size(); if(n<best){ if(!s.full.ok(s.g)){puts("BUG2");return 2;} best=n;bestNet=s.g; printf("%.0fs best %d edges %d it %ld\n",el(),best,edges(s.g),it);fflush(stdout);save(s.g,outf);} }
    // wandering too high: restart from best
    if((int)s.g.n.size()>best+over){ s.g=bestNet; s.full.all(s.g); s.small.all(s.g);} }
  printf("end best %d now %zu edges %d it %ld acc %ld rej %ld small %d\n",best,s.g.n.size(),edges(s.g),it,acc,rej,S.W); if(best==(int)s.g.n.size()||1)save(bestNet,outf); }
