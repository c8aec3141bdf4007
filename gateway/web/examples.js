/* Prompts, lyrics and speech to begin with; all satisfy the provider's limits for streaming.
 *
 * Invariant: prompts have 5 to 1000 words or characters; lyrics 200 to 250 English words or 300 to 350 Chinese characters.
 */

export const EXAMPLES = {
  prompt: [
    ['Rain on glass', 'A slow lo-fi beat with soft piano, rain on the window and a warm, sleepy bass'],
    ['Sunrise folk', 'Bright acoustic folk at sunrise: fingerpicked guitar, hand claps and a hopeful melody'],
    ['Night drive', 'Fast synthwave for a night drive, with pulsing bass, wide pads and a soaring lead'],
    ['山水', '古筝与竹笛的国风小调，空灵悠远，像清晨薄雾里的山水'],
    ['雨夜爵士', '雨夜的爵士酒吧，慵懒的钢琴与低音提琴，温柔的声音轻轻哼唱'],
  ],
  lyrics: [
    [
      'The Gate',
      `[verse]
The last train hums beneath the sleeping town
I count the windows as the lights go down
A paper map is folded in my sleeve
With every street I promised not to leave
The river keeps a copy of the moon
And someone in the distance finds a tune
I follow it past gardens made of rain
Until the night remembers me by name
[chorus]
So open up the gate and let it in
The song that waits where all the roads begin
One voice becomes a hundred in the air
And everyone who listens will be there
Oh, hold the note, don't let the morning go
There is a little more I need to know
[verse]
The baker lifts the shutter, warm and slow
The cat upon the wall pretends to know
A radio is singing through the wall
The same old melody that fits us all
I lent you half my coat, you lent me time
We traded it for nothing but a rhyme
And if the sky should ask us where we've been
We'll say we heard the colours turning green
[bridge]
Softly, softly, let the engines rest
There is a drum that's beating in my chest
Louder, louder, till the windows shake
And all the quiet houses come awake
[outro]
And everyone who listens will be there`,
    ],
    [
      '推开这扇门',
      `[verse]
末班列车穿过沉睡的小城
窗外灯火一盏一盏变轻
我把地图折好放进口袋
折痕里还有你走过的风
河水替天空收藏着月亮
远处有人轻轻哼着歌声
我沿着雨后花园慢慢走
直到夜色叫出我的姓名
[chorus]
请你推开这扇门让歌进来
它在所有道路起点等待
一个人的声音化作一百个
听见的人都会相聚成海
别让清晨太早把它带走
我还有一句话没有说开
[verse]
面包店的卷帘慢慢升起
墙头的猫假装什么都知
收音机隔着墙唱着旧曲
刚好合上每个人的故事
你借我时光我借你外衣
我们换来一首小小的诗
如果天空问起去了哪里
就说听见颜色变成春日
[bridge]
轻一点让引擎慢慢休息
我的心里有鼓点在敲击
响一点直到窗户也摇晃
让安静的房子全都醒起
[chorus]
请你推开这扇门让歌进来
它在所有道路起点等待
一个人的声音化作一百个
听见的人都会相聚成海`,
    ],
  ],
  speech: [
    ['Welcome', 'Good evening, and welcome aboard. In a few minutes we reach the coast; the sea will be on your left.'],
    ['欢迎词', '各位晚上好，欢迎乘坐本次列车。再过几分钟，我们将到达海边，大海就在您的左侧。'],
  ],
};
